"""The call log: every call and every attempt as rows of a database, and what can be asked of them.

The names below come from the modules that define them on first use: those that ask load SQLAlchemy, those that only
make calls do not.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from avionics.calls.call_log import CallLog
    from avionics.calls.database import DatabaseUnavailableError
    from avionics.calls.feedback import Feedback
    from avionics.calls.feedback_scores import FeedbackScore
    from avionics.calls.history import CallFilter, CallHistory, UnknownCallError
    from avionics.calls.logged import CallDetails, LoggedAttempt, LoggedCall
    from avionics.calls.repricing import Repriced
    from avionics.calls.usage import Dimension, UsageGroup, UsageReport, UsageTotals

_HOMES = {
    "CallDetails": "logged",
    "CallFilter": "history",
    "CallHistory": "history",
    "CallLog": "call_log",
    "DatabaseUnavailableError": "database",
    "Dimension": "usage",
    "Feedback": "feedback",
    "FeedbackScore": "feedback_scores",
    "LoggedAttempt": "logged",
    "LoggedCall": "logged",
    "Repriced": "repricing",
    "UnknownCallError": "history",
    "UsageGroup": "usage",
    "UsageReport": "usage",
    "UsageTotals": "usage",
}

__all__ = [
    "CallDetails",
    "CallFilter",
    "CallHistory",
    "CallLog",
    "DatabaseUnavailableError",
    "Dimension",
    "Feedback",
    "FeedbackScore",
    "LoggedAttempt",
    "LoggedCall",
    "Repriced",
    "UnknownCallError",
    "UsageGroup",
    "UsageReport",
    "UsageTotals",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(f"avionics.calls.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
