"""`avionics models`: what runs here, what a provider offers, and what the catalog knows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from rich.table import Table

from airframe.endpoints import HealthState
from airframe.types import ModelInfo
from avionics.cli.console import error_console, mark, output_console
from avionics.llm.catalog import FoundServer, ModelRegistry, ModelSpec
from avionics.llm.catalog.discovery import DEFAULT_ADDRESSES
from avionics.llm.factory import create_llm_provider
from avionics.settings import Settings

__all__ = ["list_catalog", "list_local_models", "list_provider_models"]


async def list_local_models(settings: Settings, as_json: bool) -> None:  # anyio.run passes by position
    """Print the models of the local servers that answer. Raises `AvionicsError`."""
    registry = ModelRegistry.from_settings(settings)
    servers = await registry.discover()
    models = [model for server in servers for model in server.models]
    _tell_of(servers, registry)
    if as_json:
        print(json.dumps([_local_json(model) for model in models]))
    elif models:
        rows = [
            (model.id, _number(model.loaded_context or model.context_window), _yes(model.loaded), *_abilities(model))
            for model in models
        ]
        _print_table(("model", "context", "loaded", "tools", "vision", "template"), rows)


async def list_provider_models(settings: Settings, as_json: bool) -> None:
    """Print the models of the provider that is asked first. Raises `AvionicsError`."""
    async with create_llm_provider(settings.first_provider(), settings) as provider:
        models = await provider.list_models()
    if as_json:
        print(json.dumps([_offered_json(model) for model in models]))
    else:
        offered = sorted(models, key=lambda model: model.id)
        rows = [(each.id, _number(each.context_window), _yes(each.loaded), each.owned_by or "") for each in offered]
        _print_table(("model", "context", "loaded", "owner"), rows)


def list_catalog(settings: Settings, as_json: bool) -> None:
    """Print what the catalog and the settings say of models. Raises `ConfigurationError`."""
    models = list(ModelRegistry.from_settings(settings))
    if as_json:
        print(json.dumps([model.model_dump(mode="json", exclude_none=True) for model in models]))
        return
    rows = [
        (
            model.id,
            _number(model.context_window),
            _number(model.max_output),
            " ".join(model.input_modalities or ()),
            " ".join(model.reasoning.efforts) if model.reasoning else "",
            "" if model.retires is None else f"{model.retires}",
        )
        for model in models
    ]
    _print_table(("model", "context", "answer", "reads", "efforts", "retires"), rows)


def _tell_of(servers: Sequence[FoundServer], registry: ModelRegistry) -> None:
    """On standard error: what was found without models, and where was looked in vain."""
    console = error_console()
    for server in servers:
        if server.state is not HealthState.HEALTHY:
            console.print(f"{mark(console, 'note')} {server.runtime} at {server.base_url}: {server.detail}")
    if not servers:
        places = dict.fromkeys((*DEFAULT_ADDRESSES, *(endpoint.origin for endpoint in registry.hosts)))
        console.print(
            f"{mark(console, 'note')} no Ollama, LM Studio, llama-server or MLX answers at {', '.join(places)}; start "
            "one, name its address in the settings, or list what a provider offers with -p NAME",
            soft_wrap=True,
        )


def _local_json(model: ModelSpec) -> Mapping[str, object]:
    return {
        "id": model.id,
        "name": model.name,
        "runtime": model.runtime,
        "context_window": model.context_window,
        "loaded_context": model.loaded_context,
        "loaded": model.loaded,
        "tools": model.supports("tools"),
        "vision": model.supports("vision"),
        "chat_template": model.chat_template,
    }


def _offered_json(model: ModelInfo) -> Mapping[str, object]:
    return {
        "id": model.id,
        "owned_by": model.owned_by,
        "context_window": model.context_window,
        "loaded": model.loaded,
    }


def _print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for position, heading in enumerate(headings):
        table.add_column(heading, no_wrap=not position)  # the name, which one copies
    for row in rows:
        table.add_row(*row)
    output_console().print(table)


def _abilities(model: ModelSpec) -> tuple[str, str, str]:
    return _yes(model.supports("tools")), _yes(model.supports("vision")), "yes" if model.chat_template else ""


def _number(value: int | None) -> str:
    return "" if value is None else f"{value}"


def _yes(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
