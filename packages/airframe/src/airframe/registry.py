"""Backend kinds and the adapters that speak to them: airframe's own, registered ones, and those of installed packages.

A package brings a kind of its own by an entry point, which is loaded when somebody first asks for that kind:

    [project.entry-points."airframe.adapters"]
    my_server = "my_package.adapter:MyServerAdapter"

What a program registers itself comes first, then airframe's own kinds, then entry points: installing a package never
changes who speaks to `openai`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, cast

from airframe import adapters
from airframe.adapters.adapter import Adapter
from airframe.endpoints import BackendKind
from airframe.errors import ConfigurationError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "ENTRY_POINT_GROUP",
    "AdapterFactory",
    "adapter_factory",
    "adapter_kinds",
    "create_adapter",
    "register_adapter",
]

ENTRY_POINT_GROUP = "airframe.adapters"
"""The group of entry points: the name is the kind, the value an `AdapterFactory`."""

AdapterFactory: TypeAlias = Callable[..., Adapter]
"""An adapter class, or anything else that makes an adapter of keyword options."""

_BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        BackendKind.ANTHROPIC: "AnthropicAdapter",
        BackendKind.AZURE: "AzureOpenAIAdapter",
        BackendKind.LLAMA_CPP: "LlamaCppAdapter",
        BackendKind.LLAMA_CPP_PYTHON: "LlamaCppPythonAdapter",
        BackendKind.LLAMA_SERVER: "LlamaServerAdapter",
        BackendKind.LM_STUDIO: "LMStudioAdapter",
        BackendKind.MLX: "MLXAdapter",
        BackendKind.OLLAMA: "OllamaAdapter",
        BackendKind.OPENAI: "OpenAIChatAdapter",
        BackendKind.OPENAI_COMPATIBLE: "OpenAICompatibleAdapter",
        BackendKind.OPENAI_RESPONSES: "OpenAIResponsesAdapter",
        BackendKind.OPENROUTER: "OpenRouterAdapter",
    }
)
"""airframe's own kinds, and what speaks to them: loaded when asked for."""

_registered: dict[str, AdapterFactory] = {}


def create_adapter(kind: str, **options: object) -> Adapter:
    """An adapter for a backend kind. `options` go to it as they are.

    Raises `ConfigurationError` for a kind that nobody brings, and for one whose package cannot be loaded.
    """
    adapter: object = adapter_factory(kind)(**options)
    if not isinstance(adapter, Adapter):
        raise ConfigurationError(
            f"what is registered for backend kind {str(kind)!r} made {type(adapter).__name__}, which is no Adapter"
        )
    return adapter


def adapter_factory(kind: str) -> AdapterFactory:
    """What makes the adapters of a backend kind: for airframe's own kinds, the class. Raises `ConfigurationError`."""
    if factory := _registered.get(kind):
        return factory
    if name := _BUILT_IN.get(kind):
        return cast("AdapterFactory", getattr(adapters, name))
    return _load(kind, [entry for entry in _entry_points() if entry.name == kind])


def adapter_kinds() -> tuple[str, ...]:
    """Every kind for which an adapter can be made, sorted."""
    return tuple(sorted({*map(str, _BUILT_IN), *_registered, *(entry.name for entry in _entry_points())}))


def register_adapter(kind: str, factory: AdapterFactory, *, replace: bool = False) -> None:
    """Have `factory` make the adapters of `kind`, in this process. `replace` says that it has an adapter already.

    Raises `ConfigurationError`.
    """
    if not kind or kind != kind.strip():
        raise ConfigurationError(f"a backend kind must be a name such as 'my_server', got {kind!r}")
    if not callable(factory):
        raise ConfigurationError(f"the factory of {kind!r} must be an adapter class or a function, got {factory!r}")
    if not replace and (kind in _registered or kind in _BUILT_IN):
        raise ConfigurationError(f"backend kind {kind!r} has an adapter already; register it with replace=True")
    _registered[kind] = factory


def _load(kind: str, entries: list[EntryPoint]) -> AdapterFactory:
    if not entries:
        raise ConfigurationError(_unknown(kind))
    if len(entries) > 1:
        raise ConfigurationError(
            f"backend kind {kind!r} is brought by {' and '.join(map(_owner, entries))}; uninstall one of them, or "
            "choose with register_adapter"
        )
    entry = entries[0]
    try:
        factory: object = entry.load()
    except Exception as error:
        raise ConfigurationError(
            f"backend kind {kind!r} is brought by {_owner(entry)}, which cannot be loaded from {entry.value!r}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not callable(factory):
        raise ConfigurationError(f"{entry.value!r} of {_owner(entry)} is {type(factory).__name__}, no adapter class")
    return cast("AdapterFactory", factory)  # what it makes, `create_adapter` looks at


def _unknown(kind: str) -> str:
    kinds = adapter_kinds()
    near = get_close_matches(str(kind).lower().replace("-", "_"), kinds, n=1)
    guess = f"did you mean {near[0]!r}? " if near else ""
    return f"backend kind {str(kind)!r} is unknown; {guess}known kinds: {', '.join(kinds)}"


def _entry_points() -> tuple[EntryPoint, ...]:
    from importlib.metadata import entry_points

    return tuple(entry_points(group=ENTRY_POINT_GROUP))


def _owner(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else "an unnamed distribution"
