"""Kinds of provider and the classes for them: registered ones, avionics' own, and those of installed packages.

A package brings a kind of its own by an entry point, which is loaded when somebody first asks for that kind:

    [project.entry-points."avionics.providers"]
    my_backend = "my_package.provider:MyProvider"

What a program registers itself comes first, then avionics' own kinds, then entry points: installing a package never
changes who speaks to `openai`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, cast

from avionics.errors import ConfigurationError, UnsupportedProviderError
from avionics.llm import providers
from avionics.llm.foreign_provider import ForeignProvider
from avionics.llm.provider import CompletionProvider, LLMProvider
from avionics.settings import Settings
from avionics.settings.providers import WELL_KNOWN

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "ENTRY_POINT_GROUP",
    "ProviderMaker",
    "check_provider_name",
    "known_providers",
    "make_provider",
    "register_provider",
    "usual_name",
]

ENTRY_POINT_GROUP = "avionics.providers"
"""The group of entry points: the name is the kind, the value a `ProviderMaker`."""

ProviderMaker: TypeAlias = type[LLMProvider] | Callable[[Settings], LLMProvider | CompletionProvider]
"""A class of provider; or what makes one of the settings, with the two methods of `CompletionProvider` at least."""

_BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "anthropic": "AnthropicProvider",
        "azure": "AzureAIFoundryProvider",
        "llama_cpp": "LlamaCppProvider",
        "llama_server": "LlamaServerProvider",
        "lm_studio": "LMStudioProvider",
        "mlx": "LocalGPTOSSProvider",
        "mock": "MockProvider",
        "ollama": "OllamaProvider",
        "openai": "OpenAIProvider",
        "openai_compatible": "OpenAICompatibleProvider",
        "openrouter": "OpenRouterProvider",
    }
)
"""The classes in `avionics.llm.providers`, by kind. Each is loaded when the first of its kind is made."""

_USUAL_NAMES = MappingProxyType({kind: name for name, kind in WELL_KNOWN.items()})
"""By kind; of two names for the same kind, the one that is not the kind's own, which comes last."""

_registered: dict[str, ProviderMaker] = {}


def register_provider(name: str, cls: ProviderMaker) -> None:
    """Make `name` known in this process, as a kind and as a provider, or give a known name another meaning."""
    _registered[name] = cls


def known_providers(settings: Settings | None = None) -> tuple[str, ...]:
    """The names that can be given, sorted: well-known and registered ones, and those that the settings describe."""
    described = settings.providers if settings else ()
    return tuple(sorted({*_USUAL_NAMES.values(), *_registered, *described, *(entry.name for entry in _entry_points())}))


def usual_name(kind: str) -> str:
    """What a provider of one of avionics' own kinds is called where nobody calls it otherwise."""
    return _USUAL_NAMES[kind]


def check_provider_name(name: str, settings: Settings) -> None:
    """Raises `UnsupportedProviderError`, which lists the known names, unless there is such a provider."""
    _maker(name, settings)


def make_provider(name: str, settings: Settings, agent_name: str | None = None) -> LLMProvider:
    """The provider of that name, with the parameters of an agent. Raises `ConfigurationError`."""
    maker = _maker(name, settings)
    if isinstance(maker, type) and issubclass(maker, LLMProvider):
        return maker.from_settings(settings, name, agent_name)
    made: object = cast("Callable[[Settings], object]", maker)(settings)
    if isinstance(made, LLMProvider):
        return made
    if isinstance(made, CompletionProvider):
        return ForeignProvider(made, name=name)
    raise ConfigurationError(
        f"what is registered for the provider {name!r} made {type(made).__name__}, which has no complete and "
        "stream_complete"
    )


def _maker(name: str, settings: Settings) -> ProviderMaker:
    described = settings.providers.get(name)
    kind = described.kind if described else WELL_KNOWN.get(name, name)
    if maker := _registered.get(name) or _registered.get(kind):
        return maker
    if built_in := _BUILT_IN.get(kind):
        return cast("type[LLMProvider]", getattr(providers, built_in))
    entries = [entry for entry in _entry_points() if entry.name == kind]
    if not entries:
        raise UnsupportedProviderError(_unknown_kind(name, kind) if described else _unknown_name(name, settings))
    return _load(kind, entries)


def _load(kind: str, entries: list[EntryPoint]) -> ProviderMaker:
    if len(entries) > 1:
        owners = " and ".join(entry.dist.name if entry.dist else "an unnamed distribution" for entry in entries)
        raise ConfigurationError(
            f"the provider {kind!r} is brought by {owners}; uninstall one of them, or choose with register_provider"
        )
    entry = entries[0]
    try:
        maker: object = entry.load()
    except Exception as error:
        raise ConfigurationError(
            f"the provider {kind!r} cannot be loaded from {entry.value!r}: {type(error).__name__}: {error}"
        ) from error
    return cast("ProviderMaker", maker)  # what it makes, `make_provider` looks at


def _unknown_name(name: str, settings: Settings) -> str:
    known = known_providers(settings)
    alike = difflib.get_close_matches(name, known, n=1)
    suggestion = f"did you mean {alike[0]!r}? " if alike else ""
    return (
        f"unknown provider {name!r}; {suggestion}known are {', '.join(known)} "
        "(AVIONICS_LLM_PROVIDER and AVIONICS_LLM_FALLBACK_PROVIDERS name them)"
    )


def _unknown_kind(name: str, kind: str) -> str:
    known = sorted({*_BUILT_IN, *_registered, *(entry.name for entry in _entry_points())})
    alike = difflib.get_close_matches(kind, known, n=1)
    suggestion = f"did you mean {alike[0]!r}? " if alike else ""
    return f"providers.{name}.kind: there is no kind {kind!r}; {suggestion}known are {', '.join(known)}"


def _entry_points() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points

    return tuple(entry_points(group=ENTRY_POINT_GROUP))
