"""What users of airframe test with: scripts and their players, cassettes, faults, and real servers to run on."""

from typing import TYPE_CHECKING

from airframe._lazy_names import loader

if TYPE_CHECKING:
    from airframe.testing.cassette import Cassette
    from airframe.testing.clock import Clock
    from airframe.testing.script import Script, ScriptPlayer
    from airframe.testing.scripted import ScriptedAdapter
    from airframe.testing.steps import Answer, Failure, Step
else:
    __getattr__ = loader(
        __name__,
        {
            "airframe.testing.cassette": ("Cassette",),
            "airframe.testing.clock": ("Clock",),
            "airframe.testing.script": ("Script", "ScriptPlayer"),
            "airframe.testing.scripted": ("ScriptedAdapter",),
            "airframe.testing.steps": ("Answer", "Failure", "Step"),
        },
    )

__all__ = ["Answer", "Cassette", "Clock", "Failure", "Script", "ScriptPlayer", "ScriptedAdapter", "Step"]


def __dir__() -> list[str]:
    return sorted(__all__)
