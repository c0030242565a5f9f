"""A word in the log when a budget runs low."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from avionics.llm.limits.claims import BudgetClaim, Standing
from avionics.llm.limits.rules import Entry

__all__ = ["BudgetWarnings"]

_MOST = 10_000


class BudgetWarnings:
    """One warning for each budget of a day or month, when the share is used that its `warn_at` states."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._given: dict[str, None] = {}

    def check(self, entries: Sequence[Entry], standings: Mapping[str, Standing]) -> None:
        """Warn of those of the budgets that run low."""
        for entry in entries:
            share = entry.rule.budget.warn_at if entry.rule.budget else None
            standing = standings.get(entry.claim.key)
            if share is None or standing is None or not isinstance(entry.claim, BudgetClaim):
                continue
            used = (standing.spent + standing.reserved) / entry.claim.budget
            if used >= share and entry.claim.key not in self._given:
                self._given[entry.claim.key] = None
                self._logger.warning(
                    "%s: %.0f%% of %s are used%s",
                    entry.rule.place,
                    100 * used,
                    entry.rule.words,
                    f" for {entry.subject}" if entry.subject else "",
                )
        while len(self._given) > _MOST:
            self._given.pop(next(iter(self._given)))
