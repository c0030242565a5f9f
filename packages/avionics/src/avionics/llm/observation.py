"""Telling others about a call without depending on them: who fails is reported once, and the call goes on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from avionics.llm.records import AttemptFinished, CallFinished, CallObservation, CallObserver, CallStarted

__all__ = ["FaultLog", "ObserverGroup"]

P = ParamSpec("P")
T = TypeVar("T")


class FaultLog:
    """Keeps failures of callbacks and observers away from the call; logs the first of each."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._reported: set[str] = set()

    def contained(self, who: str, action: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What `action` of `who`'s returns, called with the other arguments; None when it raises."""
        try:
            return action(*args, **kwargs)
        except Exception:
            if who not in self._reported:
                self._reported.add(who)
                self._logger.exception("%s failed; the call goes on, and further failures are not reported", who)
            return None


class ObserverGroup:
    """Several observers as one that never raises."""

    def __init__(self, observers: Sequence[CallObserver], faults: FaultLog) -> None:
        self._observers = tuple((type(observer).__name__, observer) for observer in observers)
        self._faults = faults

    def call_started(self, call: CallStarted) -> CallObservation:
        """A call begins."""
        following: list[tuple[str, CallObservation]] = []
        for name, observer in self._observers:
            observation = self._faults.contained(name, observer.call_started, call)
            if observation is not None:
                following.append((name, observation))
        return _ObservationGroup(following, self._faults)


class _ObservationGroup:
    def __init__(self, following: Sequence[tuple[str, CallObservation]], faults: FaultLog) -> None:
        self._following = following
        self._faults = faults

    def attempt_finished(self, attempt: AttemptFinished) -> None:
        for name, observation in self._following:
            self._faults.contained(name, observation.attempt_finished, attempt)

    def call_finished(self, end: CallFinished) -> None:
        for name, observation in self._following:
            self._faults.contained(name, observation.call_finished, end)
