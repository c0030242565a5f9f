"""A deployment: one place in a route where a call can be answered, and when it is asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import time

from avionics.settings.llm_config import LLMConfig

__all__ = ["Conditions", "Deployment"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """When a deployment is asked. All that is stated has to hold; nothing stated holds always.

    Attributes:
        tags: the call must carry all of them.
        tenants: the call must be for one of them.
        between: from the first time of day until before the second, over midnight when that is the earlier one.
        timezone: whose time of day, as in the IANA database.
        min_input_tokens: prompts at least so long, by our estimate.
        max_input_tokens: prompts at most so long.
    """

    tags: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    between: tuple[time, time] | None = None
    timezone: str = "UTC"
    min_input_tokens: int | None = None
    max_input_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """An endpoint, a model there, and how it is asked.

    Attributes:
        provider: its name in the settings.
        model: a name that the provider knows, or an alias; None is the provider's default.
        backup: which of the provider's backup endpoints, counted from 0; None is its own endpoint.
        parameters: how it is asked: over the agent's parameters, and under a call's own.
        weight: its share among equals; 0 is asked only when the others fail.
        when: when it is asked at all.
        own_quota: of a backup: its rate limits are counted apart from the provider's.
        node: the inference node where the provider is asked, in distributed mode; None is at its own endpoint.
    """

    provider: str
    model: str | None = None
    backup: int | None = None
    parameters: LLMConfig = field(default_factory=LLMConfig)
    weight: float = 1.0
    when: Conditions = Conditions()
    own_quota: bool = False
    node: str | None = None
    name: str = field(init=False, compare=False, repr=False)
    """Unique in a chain, and what health is kept under: `openai`, `openai/gpt-5`, `openai/gpt-5#0` for a backup,
    `llamaserver@left` for a node.
    """

    def __post_init__(self) -> None:
        model = "" if self.model is None else f"/{self.model}"
        place = f"#{self.backup}" if self.backup is not None else f"@{self.node}" if self.node is not None else ""
        object.__setattr__(self, "name", f"{self.provider}{model}{place}")  # asked for many times in a call
