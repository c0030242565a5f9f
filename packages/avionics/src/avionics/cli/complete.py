"""`avionics complete`: one question, one answer."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from enum import Enum, auto

from airframe.types import FinishReason
from avionics.cli.call_json import call_as_json
from avionics.cli.console import error_console, write_answer
from avionics.cli.figures import attempt_line, call_summary
from avionics.cli.witness import Witness
from avionics.errors import ConfigurationError
from avionics.llm.default_observers import default_observers
from avionics.llm.gateway import LLMGateway
from avionics.llm.records import CallFinished
from avionics.settings import Settings

__all__ = ["Mode", "Question", "complete", "read_prompt"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and how. None leaves it to the settings or the backend."""

    prompt: str
    system: str | None = None
    model: str | None = None
    agent_name: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None


class Mode(Enum):
    """How the answer is printed."""

    STREAM = auto()
    WHOLE = auto()
    JSON = auto()


def read_prompt(argument: str | None) -> str:
    """The prompt of the command line, or standard input for none and for `-`.

    Raises `ConfigurationError` where there is neither.
    """
    if argument is not None and argument != "-":
        return argument
    if argument is None and sys.stdin.isatty():
        raise ConfigurationError("there is no prompt: give one as the argument, pipe one in, or type one after '-'")
    try:
        prompt = sys.stdin.read()
    except UnicodeDecodeError:
        raise ConfigurationError("standard input is not UTF-8 text") from None
    if not prompt.strip():
        raise ConfigurationError("the prompt on standard input is empty")
    return prompt


async def complete(question: Question, settings: Settings, mode: Mode) -> None:
    """Ask, and print the answer. Raises `AvionicsError`."""
    witness = Witness()
    async with LLMGateway(settings, observers=[*default_observers(settings), witness]) as gateway:
        try:
            if mode is Mode.STREAM:
                await _print_stream(gateway, question)
            else:
                text = await _ask_whole(gateway, question)
                if mode is Mode.WHOLE and text:
                    write_answer(text if text.endswith("\n") else f"{text}\n")
        finally:
            if mode is Mode.JSON and witness.call and witness.end:
                print(json.dumps(call_as_json(witness.call, witness.end)))
    if witness.end:
        _remark_on(witness.end)
        if mode is not Mode.JSON and sys.stderr.isatty():
            error_console().print(call_summary(witness.end), style="dim")


async def _print_stream(gateway: LLMGateway, question: Question) -> None:
    last = "\n"
    try:
        async with gateway.complete_stream(
            question.prompt,
            question.system,
            question.agent_name,
            model=question.model,
            temperature=question.temperature,
            max_tokens=question.max_tokens,
        ) as stream:
            async for chunk in stream:
                write_answer(chunk.text)
                last = chunk.text[-1:] or last
    finally:
        if last != "\n":
            write_answer("\n")


async def _ask_whole(gateway: LLMGateway, question: Question) -> str:
    response = await gateway.complete(
        question.prompt,
        question.system,
        question.agent_name,
        model=question.model,
        temperature=question.temperature,
        max_tokens=question.max_tokens,
    )
    return response.text


def _remark_on(end: CallFinished) -> None:
    """Tell what the caller might not expect of an answer."""
    for failed in end.attempts[:-1]:
        _remark(f"attempt {failed.number}: {failed.provider} failed: {attempt_line(failed)}")
    if len({attempt.provider for attempt in end.attempts}) > 1:
        _remark(f"{end.provider} answered instead")
    for warning in end.result.warnings if end.result else ():
        _remark(f"{warning.subject}: {warning.message}")
    if end.result and end.result.finish_reason is FinishReason.LENGTH:
        _remark("the answer stops at the token limit; see --max-tokens")
    if end.result and not end.result.text:
        _remark(f"the answer holds no text; it finished with {end.result.finish_reason}")


def _remark(text: str) -> None:
    print(f"avionics: {text}", file=sys.stderr)
