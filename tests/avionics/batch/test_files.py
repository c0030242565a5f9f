"""A file of requests and the file of its answers: what is asked, what is kept, what is mended, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure, Step
from airframe.types import InferenceRequest
from avionics.errors import ConfigurationError
from avionics.llm.batch import BatchProgress
from avionics.llm.batch.file_run import OpenRequests, answer_file
from avionics.llm.batch.input_file import check_input
from avionics.llm.batch.output_file import OutputFile, read_answers
from avionics.testing import ScriptedGateway

Answering: TypeAlias = Callable[..., BatchProgress]

REFUSED = Failure(ErrorCategory.AUTH)


def echo(request: InferenceRequest) -> Answer:
    return Answer(text=request.messages[-1].text)


def request_line(id: str, **members: Any) -> str:
    body = {"messages": [{"role": "user", "content": f"{id}?"}]}
    return json.dumps({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body, **members})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three requests: a, b and c."""
    return write(tmp_path / "in.jsonl", *map(request_line, "abc"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where the answers go."""
    return tmp_path / "out.jsonl"


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def answer(anyio_backend: str) -> Answering:
    """Asks what is open; every step of the script must be needed."""

    def answer_from(source: Path, target: Path, steps: Sequence[Step], *, retry_failed: bool = False) -> BatchProgress:
        async def run() -> BatchProgress:
            with OutputFile(target) as output:
                if retry_failed:
                    output.forget_failures()
                requests = OpenRequests(source, check_input(source), output.answers)
                async with ScriptedGateway(openai=steps) as gateway:
                    return await answer_file(requests, output, gateway, concurrency=1)

        return anyio.run(run, backend=anyio_backend)

    return answer_from


def answers(target: Path) -> dict[str, str | None]:
    """The text of each answer by the id of its request, None for a failure; a line that comes twice is an error."""
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    read = {line["custom_id"]: text_of(line) for line in lines}
    assert len(read) == len(lines)
    return read


def text_of(line: dict[str, Any]) -> str | None:
    response = line["response"]
    return response["body"]["choices"][0]["message"]["content"] if response and response["status_code"] == 200 else None


class TestRun:
    """From requests to answers."""

    def test_every_request_is_answered(self, answer: Answering, source: Path, target: Path) -> None:
        """With one line each."""
        progress = answer(source, target, [echo] * 3)
        assert answers(target) == {"a": "a?", "b": "b?", "c": "c?"}
        assert (progress.done, progress.failed, progress.total) == (3, 0, 3)

    def test_a_failure_has_a_line_and_the_others_go_on(self, answer: Answering, source: Path, target: Path) -> None:
        """It is data like the answers."""
        progress = answer(source, target, [echo, REFUSED, echo])
        assert answers(target) == {"a": "a?", "b": None, "c": "c?"}
        assert progress.failed == 1

    def test_a_request_that_cannot_be_asked_has_a_line_too(
        self, answer: Answering, tmp_path: Path, target: Path
    ) -> None:
        """The wrong place, a body that makes no sense: the line says what is wrong, and nothing is sent."""
        source = write(
            tmp_path / "in.jsonl",
            request_line("a"),
            request_line("b", url="/v1/embeddings"),
            request_line("c", body={"messages": "?"}),
            request_line("d", body={"messages": [{"role": "user", "content": "d?"}], "temperature": "hot"}),
        )
        answer(source, target, [echo])
        assert answers(target) == {"a": "a?", "b": None, "c": None, "d": None}
        messages = [
            line["error"]["message"]
            for line in map(json.loads, target.read_text(encoding="utf-8").splitlines())
            if line["error"]
        ]
        assert "POST /v1/embeddings" in messages[0]
        assert "messages must be a list" in messages[1]
        assert "temperature must be a number" in messages[2]

    def test_what_is_answered_is_not_asked_again(self, answer: Answering, source: Path, target: Path) -> None:
        """A second run asks what is open, and a third one nothing."""
        source.write_text(request_line("a") + "\n", encoding="utf-8")
        answer(source, target, [echo])
        write(source, *map(request_line, "abc"))
        answer(source, target, [echo] * 2)
        assert answers(target) == {"a": "a?", "b": "b?", "c": "c?"}
        before = target.read_bytes()
        answer(source, target, [])
        assert target.read_bytes() == before

    def test_failures_are_asked_again_on_demand(self, answer: Answering, source: Path, target: Path) -> None:
        """Their old lines are gone; the answers stay as they are."""
        answer(source, target, [echo, REFUSED, REFUSED])
        answer(source, target, [])
        kept = target.read_bytes().splitlines()[0]
        answer(source, target, [echo, echo], retry_failed=True)
        assert answers(target) == {"a": "a?", "b": "b?", "c": "c?"}
        assert target.read_bytes().splitlines()[0] == kept
        assert [path.name for path in target.parent.iterdir()] == [source.name, target.name]


class TestOutput:
    """The file of answers."""

    def test_a_torn_last_line_is_answered_again(self, answer: Answering, source: Path, target: Path) -> None:
        """Wherever the write of a killed process ended: the lines before stay, and each id has one line."""
        answer(source, target, [echo] * 3)
        whole = target.read_bytes()
        last = whole.rindex(b"\n", 0, -1) + 1
        for cut in {last, last + 1, last + 10, last + 40, last + 200, len(whole) - 2}:
            target.write_bytes(whole[:cut])
            answer(source, target, [echo])
            assert answers(target) == {"a": "a?", "b": "b?", "c": "c?"}
            assert target.read_bytes()[:last] == whole[:last]

    def test_a_line_that_lacks_its_line_feed_alone_is_kept(self, answer: Answering, source: Path, target: Path) -> None:
        """The answer is there; asking again would cost for nothing."""
        answer(source, target, [echo] * 3)
        whole = target.read_bytes()
        target.write_bytes(whole[:-1])
        answer(source, target, [])
        assert target.read_bytes() == whole

    @pytest.mark.parametrize("content", [b"my notes", b"my notes\n", b'{"custom_id": "a"}\n', b"\n", b'{"id": 7}\n'])
    def test_a_file_with_something_else_is_left_alone(self, target: Path, content: bytes) -> None:
        """The error names the line, and not a byte is changed."""
        target.write_bytes(content)
        with pytest.raises(ConfigurationError, match=r"line 1: it is not the answer to a request.*choose another"):
            OutputFile(target)
        assert target.read_bytes() == content

    def test_answers_to_other_requests_are_refused(
        self, answer: Answering, tmp_path: Path, source: Path, target: Path
    ) -> None:
        """The output of another input is not added to."""
        answer(source, target, [echo] * 3)
        before = target.read_bytes()
        other = write(tmp_path / "other.jsonl", request_line("x"))
        with pytest.raises(ConfigurationError, match=r"answer to 'a', which .*other.jsonl does not ask"):
            answer(other, target, [])
        assert target.read_bytes() == before

    def test_one_process_writes_at_a_time(self, target: Path) -> None:
        """The second one hears of the first, and may look at the file meanwhile."""
        with OutputFile(target):
            with pytest.raises(ConfigurationError, match="is being written by another process"):
                OutputFile(target)
            assert read_answers(target) == {}
        OutputFile(target).close()

    def test_a_file_that_was_exchanged_is_still_locked(self, answer: Answering, source: Path, target: Path) -> None:
        """Forgetting failures puts a new file in the place of the old one; nobody comes in between."""
        answer(source, target, [echo, REFUSED, echo])
        with OutputFile(target) as output:
            output.forget_failures()
            assert output.answers == {"a": True, "c": True}
            with pytest.raises(ConfigurationError, match="another process"):
                OutputFile(target)

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        """A directory that is not there."""
        with pytest.raises(ConfigurationError, match=r"out.jsonl cannot be written: No such file"):
            OutputFile(tmp_path / "nowhere" / "out.jsonl")


class TestInput:
    """The file of requests."""

    def test_every_mistake_is_told_with_its_line(self, tmp_path: Path) -> None:
        """All at once, before anything is sent."""
        source = write(
            tmp_path / "in.jsonl",
            request_line("a"),
            "{",
            "[]",
            "",
            '{"custom_id": 7, "body": {}}',
            '{"custom_id": "b"}',
            request_line("a"),
        )
        with pytest.raises(ConfigurationError) as caught:
            check_input(source)
        lines = str(caught.value).splitlines()
        assert [line.partition(": ")[0].rpartition(" ")[2] for line in lines] == ["2", "3", "5", "6", "7"]
        assert "the whole must be an object, got list" in lines[1]
        assert "custom_id must be a text, got int" in lines[2]
        assert "body is missing" in lines[3]
        assert "custom_id 'a' is taken by line 1" in lines[4]

    @pytest.mark.parametrize(
        ("content", "message"), [(b"", "holds no requests"), (b"\n\n", "holds no requests"), (b"\xff", "not UTF-8")]
    )
    def test_a_file_without_requests_is_refused(self, tmp_path: Path, content: bytes, message: str) -> None:
        """The message names the file."""
        source = tmp_path / "in.jsonl"
        source.write_bytes(content)
        with pytest.raises(ConfigurationError, match=rf"in.jsonl .*{message}"):
            check_input(source)

    def test_blank_lines_a_mark_at_the_beginning_and_other_line_ends_are_no_mistakes(self, tmp_path: Path) -> None:
        """Files come from anywhere."""
        source = tmp_path / "in.jsonl"
        source.write_bytes(f"\ufeff{request_line('a')}\r\n\r\n{request_line('b')}".encode())
        assert check_input(source) == ["a", "b"]
