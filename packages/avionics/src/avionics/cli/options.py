"""Options that several commands have, and the words that they take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Agent", "By", "Form", "Outcome", "PriceFile", "Provider", "Since", "Tenant", "Until"]

Provider = Annotated[
    str | None, typer.Option("-p", "--provider", help="Ask this provider instead of the configured one.")
]

Agent = Annotated[str | None, typer.Option("--agent", help="Only calls for this agent.")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="Only calls on behalf of this tenant.")]
Outcome = Annotated[
    str | None, typer.Option("--outcome", help="Only calls that ended so: success, error, cancelled or abandoned.")
]
Since = Annotated[
    str | None, typer.Option("--since", help="Only calls since then: 12h, 7d or 2w for so long ago, or 2026-11-20.")
]
Until = Annotated[str | None, typer.Option("--until", help="Only calls before then, said in the same way.")]


class By(StrEnum):
    """What usage is summed up by."""

    AGENT = "agent"
    MODEL = "model"
    PROVIDER = "provider"
    TENANT = "tenant"
    DAY = "day"
    VARIANT = "variant"
    DEPLOYMENT = "deployment"


class Form(StrEnum):
    """In which form calls are exported."""

    JSONL = "jsonl"
    CSV = "csv"


PriceFile = Annotated[
    Path | None, typer.Option("--prices", help="A file with prices of your own, in place of those of the settings.")
]
