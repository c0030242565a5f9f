"""What users of airframe test with: scripts and their players, cassettes, faults, and real servers to run on."""

from airframe.testing.cassette import Cassette
from airframe.testing.clock import Clock
from airframe.testing.script import Script, ScriptPlayer
from airframe.testing.scripted import ScriptedAdapter
from airframe.testing.steps import Answer, Failure, Step

__all__ = ["Answer", "Cassette", "Clock", "Failure", "Script", "ScriptPlayer", "ScriptedAdapter", "Step"]
