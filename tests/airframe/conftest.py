"""What lies here and is not part of this suite."""

from __future__ import annotations

collect_ignore = ["consumer"]  # a project of its own: `nox -s wheels` installs it beside the wheel and runs its tests
