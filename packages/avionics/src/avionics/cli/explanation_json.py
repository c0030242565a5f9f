"""An explanation as one JSON object, which scripts may rely on.

    {"route", "variant", "timeout", "opens_in", "cache",
     "targets": [{"deployment", "provider", "model", "breaker", "problem", "cost_low_usd", "cost_high_usd",
                  "changes": [{"subject", "message"}], "limits": [...],
                  "request": null or {"method", "url", "body", "timeouts", "max_retries"}}],
     "exclusions": [{"deployment", "reason"}],
     "limits": [{"place", "words", "subject", "unit", "limit", "left", "spent", "reserved", "renews_at", "waiting"}]}

null is unknown, or none. Money is a text, so that no digit is lost; times are seconds, points in time ISO 8601.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal

from airframe.preview import RequestPreview
from airframe.types import JSONObject, JSONValue
from avionics.llm.explanation import Explanation, Target
from avionics.llm.limits import LimitState

__all__ = ["explanation_as_json"]


def explanation_as_json(told: Explanation) -> JSONObject:
    """The object."""
    return {
        "route": told.route,
        "variant": told.variant,
        "timeout": told.timeout,
        "opens_in": told.opens_in,
        "cache": told.cache,
        "targets": [_target(target) for target in told.targets],
        "exclusions": [{"deployment": each.deployment.name, "reason": each.reason} for each in told.exclusions],
        "limits": [_limit(state) for state in told.limits],
    }


def _target(target: Target) -> JSONObject:
    return {
        "deployment": target.deployment,
        "provider": target.provider,
        "model": target.model,
        "breaker": target.breaker,
        "problem": target.problem,
        "cost_low_usd": _plain(target.cost_low_usd),
        "cost_high_usd": _plain(target.cost_high_usd),
        "changes": [{"subject": change.subject, "message": change.message} for change in target.changes],
        "limits": [_limit(state) for state in target.limits],
        "request": _request(target.preview) if target.preview else None,
    }


def _request(preview: RequestPreview) -> JSONObject:
    return {
        "method": preview.method,
        "url": preview.url,
        "body": preview.body,
        "timeouts": asdict(preview.timeouts),
        "max_retries": preview.max_retries,
    }


def _limit(state: LimitState) -> JSONObject:
    return {name: _plain(value) for name, value in asdict(state).items()}


def _plain(value: Decimal | datetime | str | int | None) -> JSONValue:
    match value:
        case Decimal():
            return f"{value:f}"
        case datetime():
            return value.isoformat()
        case _:
            return value
