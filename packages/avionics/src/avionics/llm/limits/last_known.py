"""How counters stood when this process last heard of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from avionics.llm.limits.claims import Standing

__all__ = ["LastKnown"]

_MOST = 10_000


class LastKnown:
    """The newest ten thousand of them. Used inside transactions of one store, so that no two write at once."""

    def __init__(self) -> None:
        self._standings: dict[str, Standing] = {}

    def heard(self, key: str, standing: Standing) -> None:
        """A counter stands so now."""
        self._standings.pop(key, None)
        self._standings[key] = standing
        if len(self._standings) > _MOST:
            self._standings.pop(next(iter(self._standings)))

    def of(self, keys: Sequence[str]) -> Mapping[str, Standing]:
        """Those of the counters that are known."""
        return {key: standing for key in keys if (standing := self._standings.get(key))}
