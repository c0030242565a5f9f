"""`avionics doctor`: which settings hold, where they come from, and whether the providers answer. Shows no key."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from airframe.endpoints import HealthState
from airframe.types import ModelInfo
from avionics.cli.config import settings_table
from avionics.cli.console import mark, output_console
from avionics.cli.figures import milliseconds
from avionics.cli.settings_report import settings_in_force
from avionics.errors import AvionicsError, ConfigurationError
from avionics.llm.construction import variable_of
from avionics.llm.factory import create_llm_provider
from avionics.llm.provider import LLMProvider
from avionics.llm.routing import RouteTable
from avionics.settings import Settings, get_settings

__all__ = ["examine"]

_STARTS = {
    "llama_cpp": "check the path of the model's file",
    "llama_server": "start one, such as: llama-server --model FILE.gguf --port 8080",
    "lm_studio": "start its server: lms server start",
    "mlx": "start one, such as: mlx_lm.server --model NAME --port 8080",
    "ollama": "start it: ollama serve",
}
"""How the servers of one's own hardware are started, by kind of backend."""

_MOST_MODELS = 8


class _Report:
    """What has been found, line by line, and whether any of it is a problem."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.problems = 0

    def section(self, title: str) -> None:
        self.console.print(f"\n[bold]{escape(title)}[/]")

    def good(self, text: str) -> None:
        self._line("good", text)

    def note(self, text: str, remedy: str | None = None) -> None:
        self._line("note", text, remedy)

    def problem(self, text: str, remedy: str | None = None) -> None:
        self.problems += 1
        self._line("bad", text, remedy)

    def _line(self, kind: str, text: str, remedy: str | None = None) -> None:
        self.console.print(f"  {mark(self.console, kind)} {escape(text)}")
        if remedy:
            self.console.print(f"    remedy: {escape(remedy)}")


async def examine() -> bool:
    """Print what was found; whether all is well."""
    report = _Report(output_console())
    settings = _examine_settings(report)
    if settings is not None:
        for name in RouteTable.from_settings(settings).providers():
            report.section(f"Provider {name}" + _part(name, settings))
            await _examine_provider(report, name, settings)
    problems = report.problems
    verdict = "All is well." if not problems else f"{problems} problem{'s' if problems > 1 else ''} found."
    report.console.print(f"\n{verdict}", style="red" if problems else "green")
    return not problems


def _examine_settings(report: _Report) -> Settings | None:
    report.section("Settings")
    try:
        settings = get_settings()
        rows = settings_in_force(settings)
    except ConfigurationError as error:
        for line in str(error).splitlines():
            report.problem(line)
        return None
    stated = [row for row in rows if row.source]
    if stated:
        report.console.print(Padding(settings_table(stated), (0, 0, 0, 2)))
    others = "All others have" if stated else "All have"
    report.console.print(f"  {others} their defaults: avionics config show", style="dim")
    return settings


def _part(name: str, settings: Settings) -> str:
    fallbacks = settings.llm_fallback_providers
    return f" (fallback {fallbacks.index(name) + 1})" if name in fallbacks else ""


async def _examine_provider(report: _Report, name: str, settings: Settings) -> None:
    try:
        provider = create_llm_provider(name, settings)
    except ConfigurationError as error:
        report.problem(str(error))
        return
    async with provider:
        key = "with its key" if provider.endpoint.api_key else "without a key"
        report.good(f"configured for {provider.endpoint.base_url}, {key}")
        health = await provider.health_check()
        if health.state is HealthState.LOADING:
            report.problem(f"loading its model: {health.detail}", "wait a little and ask again")
        elif not health.healthy:
            report.problem(f"{health.state}: {health.detail}", _remedy(provider, settings, health.state))
        else:
            report.good(f"answers within {milliseconds(health.latency)}: {health.detail}")
            await _examine_models(report, provider, settings)


async def _examine_models(report: _Report, provider: LLMProvider, settings: Settings) -> None:
    try:
        models = await provider.list_models()
    except AvionicsError as error:
        report.problem(f"does not list its models: {error}", _remedy(provider, settings, HealthState.UNHEALTHY))
        return
    if not models:
        report.problem("offers no model", "load one")
        return
    report.good(f"offers {_listed(models)}")
    wanted = provider.default_model
    if wanted and wanted not in {model.id for model in models}:
        report.note(
            f"does not list the model {wanted!r}, which calls ask it for by default",
            f"run 'avionics models -p {provider.name}', and set {_model_variable(provider, settings)} to one of them",
        )


def _remedy(provider: LLMProvider, settings: Settings, state: HealthState) -> str:
    """What to do about a backend that is not there, or that is there and refuses."""
    address = variable_of(provider.name, "model_path" if provider.kind == "llama_cpp" else "base_url")
    if state is HealthState.UNREACHABLE or (provider.kind in _STARTS and provider.endpoint.api_key is None):
        start = _STARTS.get(provider.kind)
        return f"{start}; or set {address} to where it is" if start else f"check {address}, and the way to that server"
    key = settings.provider(provider.name).api_key_env or variable_of(provider.name, "api_key")
    return f"check the key in {key}, and that it is for the server at {address}"


def _model_variable(provider: LLMProvider, settings: Settings) -> str:
    return "AVIONICS_DEFAULT_MODEL" if provider.name == settings.llm_provider else variable_of(provider.name, "model")


def _listed(models: Sequence[ModelInfo]) -> str:
    names = sorted(model.id for model in models)
    more = len(names) - _MOST_MODELS
    return ", ".join(names[:_MOST_MODELS]) + (f" and {more} more" if more > 0 else "")
