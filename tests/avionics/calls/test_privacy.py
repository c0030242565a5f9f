"""No secret and, with capture off, no word of a conversation is in a table, a spill file, a log line or a report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from sqlalchemy import select

from airframe.errors import BackendError, ErrorCategory
from airframe.testing import Answer, Failure
from airframe.types import ImagePart, Message, TextPart, ToolCall, ToolSpec, Usage
from avionics.calls import CallHistory, CallLog
from avionics.calls.database import open_database, reading
from avionics.calls.location import database_url
from avionics.calls.tables import metadata
from avionics.calls.usage import DIMENSIONS
from avionics.cli.usage_page import usage_page
from avionics.errors import LLMError
from avionics.llm import LLMGateway
from avionics.llm.providers import MockProvider
from avionics.settings import Settings

pytestmark = pytest.mark.anyio

Configure: TypeAlias = Callable[..., Settings]

SECRET = "sk-proj-SeSaMe0123456789abcdef"
PROMPT, SYSTEM, ANSWER, THOUGHT, ARGUMENT, QUOTED = (
    f"marker-{word}" for word in ("prompt", "system", "answer", "thought", "argument", "quoted")
)
WORDS = (PROMPT, SYSTEM, ANSWER, THOUGHT, ARGUMENT, QUOTED)


async def talk(settings: Settings) -> None:
    """Calls that say all of it, in all the places where words can be, and fail in ways that repeat them."""
    error = BackendError(f"cannot parse {PROMPT!r} {QUOTED}", category=ErrorCategory.SERVER, code=f"bad {QUOTED}!")
    whole = Answer(
        text=f"{ANSWER} {SECRET}",
        reasoning=THOUGHT,
        tool_calls=[ToolCall(id="1", name="look", arguments=f'{{"at": "{ARGUMENT}"}}')],
        usage=Usage(input_tokens=3, output_tokens=4, raw={"note": ANSWER}),
    )
    provider = MockProvider([whole, Failure(error, chunks=[ANSWER]), Failure(error), whole], name="openai")
    log = CallLog(settings)
    gateway = LLMGateway(Settings(llm_provider="openai"), (), observers=[log], providers={"openai": provider})
    words = [Message("user", [TextPart(f"{PROMPT} {SECRET}"), ImagePart(data=PROMPT.encode(), media_type="image/png")])]
    tool = ToolSpec(name="look", description=PROMPT, parameters={"type": "object"})
    await gateway.complete(system=SYSTEM, messages=words, tools=[tool], metadata={"note": PROMPT}, user="user")
    for _ in range(2):
        with pytest.raises(LLMError):
            async for _ in gateway.complete_stream(PROMPT, SYSTEM):
                pass
    async with gateway.complete_stream(PROMPT, SYSTEM) as stream:
        await anext(stream)
    await gateway.aclose()
    log.close()


async def test_with_capture_off_no_word_is_kept_anywhere(
    configure: Configure, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what was said, nor what backends say that quotes it."""
    caplog.set_level(logging.DEBUG, "avionics")
    settings = configure()
    await talk(settings)
    kept = "\n".join([*tables(settings), *files(tmp_path), *caplog.messages, *reports(settings)])
    assert "openai" in kept
    assert [word for word in (*WORDS, SECRET) if word in kept] == []


async def test_while_the_database_is_down_no_word_is_kept_either(tmp_path: Path, configure: Configure) -> None:
    """The spill file holds what the tables will hold."""
    (tmp_path / "file").write_text("no directory", encoding="utf-8")
    options = configure().call_log
    settings = Settings(database={"url": f"sqlite:///{tmp_path}/file/calls.db"}, call_log=options)
    await talk(settings)
    kept = "\n".join(files(tmp_path))
    assert "openai" in kept
    assert [word for word in (*WORDS, SECRET) if word in kept] == []


async def test_with_capture_on_the_words_are_kept_and_no_secret(configure: Configure, tmp_path: Path) -> None:
    """Asked for, all that was said is in the table of contents and nowhere else; what looks like a key is nowhere."""
    settings = configure(capture_content=True)
    await talk(settings)
    kept = "\n".join([*tables(settings), *files(tmp_path), *reports(settings)])
    assert [word for word in WORDS if word not in kept] == []
    assert SECRET not in kept
    assert "marker-" not in "\n".join(reports(settings))


def tables(settings: Settings) -> Iterator[str]:
    """Every value of every row."""
    engine = open_database(database_url(settings.database))
    with reading(engine) as connection:
        for table in metadata.tables.values():
            for row in connection.execute(select(table)):
                yield " ".join(map(str, row))
    engine.dispose()


def files(folder: Path) -> Iterator[str]:
    """Databases, their logs, and what was spilled, byte by byte."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes().decode("latin-1")


def reports(settings: Settings) -> Iterator[str]:
    with CallHistory(settings) as history:
        yield usage_page([history.usage(by) for by in DIMENSIONS])
