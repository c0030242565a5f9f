"""Names by which one part of the settings means another: whether there is such a thing, and only one."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterator, Mapping

from avionics.config_file import KeyPath
from avionics.settings.agents import AgentSettings

__all__ = ["unclear_names"]


def unclear_names(
    agents: Mapping[str, AgentSettings],
    routes: Collection[str],
    models: Collection[str],
    place: Callable[[KeyPath], str | None],
) -> Iterator[str]:
    """A line for each name that means nothing, or two things. `place` tells where a setting comes from."""
    for name, agent in agents.items():
        if agent.route is not None and agent.route not in routes:
            path = ("agents", name, "route")
            yield f"{_head(path, place)}: there is no such route; {_suggestion(agent.route, routes)}"
    for name in routes:
        if name in models:
            path = ("routing", "routes", name)
            yield f"{_head(path, place)}: a call could mean models.{name} as well; rename one of them"


def _head(path: KeyPath, place: Callable[[KeyPath], str | None]) -> str:
    where = place(path)
    return ".".join(path) + (f" ({where})" if where else "")


def _suggestion(name: str, routes: Collection[str]) -> str:
    if not routes:
        return "routing.routes describes none"
    alike = difflib.get_close_matches(name, routes, n=1)
    return f"did you mean {alike[0]!r}?" if alike else f"known are {', '.join(sorted(routes))}"
