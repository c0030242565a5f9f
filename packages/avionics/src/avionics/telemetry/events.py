"""Events of calls, through the API for logs: what was said, and what went wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from opentelemetry._logs import Logger, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import Span

from avionics.llm.records import CallFinished
from avionics.telemetry import semconv
from avionics.telemetry.attributes import Attributes, failure
from avionics.telemetry.content import Content

if TYPE_CHECKING:
    from opentelemetry.util.types import AnyValue

__all__ = ["add_exception", "emit_details", "emit_exception", "exception_facts"]


def exception_facts(end: CallFinished, message: str | None = None) -> Attributes:
    """What is told of the error that a call ended with; empty when there was none.

    Without `message` its category, status and code stand for its words, which may quote what was said.
    """
    summary = failure(end)
    if summary is None:
        return {}
    return {
        semconv.EXCEPTION_TYPE: end.error_class or "_OTHER",
        semconv.EXCEPTION_MESSAGE: message or summary,
    }


def add_exception(span: Span, end: CallFinished, facts: Attributes) -> None:
    """The older way: an event of the span."""
    span.add_event(semconv.SPAN_EXCEPTION_EVENT, facts, end.ended_at_ns)


def emit_exception(logger: Logger, end: CallFinished, attributes: Attributes, context: Context) -> None:
    """A warning in the log, linked to the span in `context`."""
    logger.emit(
        event_name=semconv.EXCEPTION_EVENT,
        timestamp=end.ended_at_ns,
        severity_number=SeverityNumber.WARN,
        severity_text="WARN",
        attributes=attributes,
        context=context,
    )


def emit_details(logger: Logger, end: CallFinished, attributes: Attributes, content: Content, context: Context) -> None:
    """The attributes of a call's span, with what was said as it is."""
    told: Mapping[str, AnyValue] = {**attributes, **content}
    logger.emit(
        event_name=semconv.DETAILS_EVENT,
        timestamp=end.ended_at_ns,
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        attributes=told,
        context=context,
    )
