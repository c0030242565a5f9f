"""Names by which one part of the settings means another: whether there is such a thing, and only one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from avionics.config_file import KeyPath

if TYPE_CHECKING:
    from avionics.settings.settings import Settings

__all__ = ["unclear_names"]


def unclear_names(settings: Settings, place: Callable[[KeyPath], str | None]) -> Iterator[str]:
    """A line for each name that means nothing, or two things. `place` tells where a setting comes from."""
    routes = settings.routing.routes
    for path, route in _routes_meant(settings):
        if route not in routes:
            yield f"{_head(path, place)}: there is no such route; {_suggestion(route, routes)}"
    for name in routes:
        if name in settings.models:
            path = ("routing", "routes", name)
            yield f"{_head(path, place)}: a call could mean models.{name} as well; rename one of them"


def _routes_meant(settings: Settings) -> Iterator[tuple[KeyPath, str]]:
    for name, agent in settings.agents.items():
        if agent.route is not None:
            yield ("agents", name, "route"), agent.route
    for name, experiment in settings.experiments.items():
        for position, variant in enumerate(experiment.variants):
            if variant.route is not None:
                yield ("experiments", name, "variants", str(position), "route"), variant.route


def _head(path: KeyPath, place: Callable[[KeyPath], str | None]) -> str:
    where = place(path)
    return ".".join(path) + (f" ({where})" if where else "")


def _suggestion(name: str, routes: Collection[str]) -> str:
    if not routes:
        return "routing.routes describes none"
    alike = difflib.get_close_matches(name, routes, n=1)
    return f"did you mean {alike[0]!r}?" if alike else f"known are {', '.join(sorted(routes))}"
