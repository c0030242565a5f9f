"""What an import costs, in a fresh process each time, of modules that are compiled, as those of installed packages."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from tempfile import TemporaryDirectory

from bench.clients import CLIENTS

__all__ = ["ImportCost", "import_costs"]

_PROGRAM = """
import resource, sys
def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
before, loaded = cpu(), len(sys.modules)
{statement}
print(cpu() - before, len(sys.modules) - loaded)
"""


@dataclass(frozen=True, slots=True)
class ImportCost:
    """CPU seconds, and the number of modules that are loaded."""

    cpu: float
    modules: int


def import_costs(pythons: Mapping[str, str], *, rounds: int) -> Mapping[str, ImportCost]:
    """What each import of the clients costs: all of them in turn, in the median."""
    by_statement = {statement: python for name, python in pythons.items() for statement in CLIENTS[name].imports}
    seen: dict[str, list[ImportCost]] = {statement: [] for statement in by_statement}
    with TemporaryDirectory() as compiled:
        for number in range(rounds + 1):
            for statement, python in by_statement.items():
                cost = _cost(python, statement, compiled)
                if number:  # the first one compiled
                    seen[statement].append(cost)
    return {
        statement: ImportCost(median(cost.cpu for cost in costs), costs[0].modules) for statement, costs in seen.items()
    }


def _cost(python: str, statement: str, compiled: str) -> ImportCost:
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPYCACHEPREFIX": compiled}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    run = subprocess.run(
        [python, "-c", _PROGRAM.format(statement=statement)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    cpu, modules = run.stdout.split()[-2:]
    return ImportCost(float(cpu), int(modules))
