"""Orchestration of LLM calls: which backend, at what price, within which limits, and who has to know.

The names below come from the modules that define them on first use, so that `import avionics`, and with it
`avionics --help`, does not load an HTTP client.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from avionics._version import __version__

if TYPE_CHECKING:
    from avionics.errors import (
        AllAttemptsFailedError,
        AvionicsError,
        BudgetExceededError,
        CacheMissError,
        ConfigurationError,
        ConfigurationValidationError,
        GuardrailError,
        LLMError,
        NoDeploymentError,
        QuotaExceededError,
        RateLimitExceededError,
    )
    from avionics.llm import (
        Chat,
        Conversation,
        LLMConfig,
        LLMFactory,
        LLMGateway,
        LLMProvider,
        LLMResponse,
        ModelRegistry,
        ProviderFactory,
        StreamingChunk,
        create_agent_provider,
        create_agent_provider_with_node_awareness,
        create_llm_provider,
        register_provider,
    )
    from avionics.settings import Settings, get_settings, reload_settings, reset_settings, set_settings

__all__ = [
    "AllAttemptsFailedError",
    "AvionicsError",
    "BudgetExceededError",
    "CacheMissError",
    "Chat",
    "ConfigurationError",
    "ConfigurationValidationError",
    "Conversation",
    "GuardrailError",
    "LLMConfig",
    "LLMError",
    "LLMFactory",
    "LLMGateway",
    "LLMProvider",
    "LLMResponse",
    "ModelRegistry",
    "NoDeploymentError",
    "ProviderFactory",
    "QuotaExceededError",
    "RateLimitExceededError",
    "Settings",
    "StreamingChunk",
    "__version__",
    "create_agent_provider",
    "create_agent_provider_with_node_awareness",
    "create_llm_provider",
    "get_settings",
    "register_provider",
    "reload_settings",
    "reset_settings",
    "set_settings",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        for home in ("avionics.errors", "avionics.settings", "avionics.llm"):
            module = import_module(home)
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
