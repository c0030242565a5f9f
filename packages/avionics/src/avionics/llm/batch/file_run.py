"""A file of requests, answered: whatever has no line in the file of answers yet is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from avionics.errors import ConfigurationError, LLMInvalidRequestError
from avionics.llm.batch.call_request import CallRequest
from avionics.llm.batch.input_file import InputLine, read_input
from avionics.llm.batch.output_file import OutputFile
from avionics.llm.batch.output_line import output_line
from avionics.llm.batch.results import BatchProgress, BatchResult, ProgressCallback

if TYPE_CHECKING:
    from avionics.llm.gateway import LLMGateway

__all__ = ["OpenRequests", "answer_file"]


class OpenRequests:
    """The requests of a file that have no line in `answers`, read from it one after the other as they are needed.

    `ids` is what `check_input` says of the file. Raises `ConfigurationError` where `answers` has others.

    Attributes:
        lines: requests in the file.
        refused: open ones that cannot be asked, with the reason; iterating leaves them out.
    """

    def __init__(self, source: Path, ids: Sequence[str], answers: Mapping[str, bool]) -> None:
        self._source = source
        self.lines = len(ids)
        self._ids = frozenset(ids) - answers.keys()
        if strangers := sorted(answers.keys() - set(ids)):
            raise ConfigurationError(
                f"there is an answer to {strangers[0]!r}, which {source} does not ask; choose another output file"
            )
        self.refused = tuple(self._refused())

    def __len__(self) -> int:
        return len(self._ids) - len(self.refused)

    def __iter__(self) -> Iterator[CallRequest]:
        refused = {result.id for result in self.refused}
        return (line.request() for line in self._open_lines() if line.custom_id not in refused)

    def _open_lines(self) -> Iterator[InputLine]:
        return (line for line in read_input(self._source) if line.custom_id in self._ids)

    def _refused(self) -> Iterator[BatchResult]:
        for line in self._open_lines():
            try:
                line.request()
            except LLMInvalidRequestError as error:
                yield BatchResult(index=line.number, id=line.custom_id, error=error)


async def answer_file(
    requests: OpenRequests,
    output: OutputFile,
    gateway: LLMGateway,
    *,
    concurrency: int,
    agent_name: str | None = None,
    on_progress: ProgressCallback | None = None,
) -> BatchProgress:
    """Ask all that is open, and add a line for each. May be killed at any moment, and begun anew."""

    async def write(result: BatchResult) -> None:
        id, answered = result.id or "", result.response is not None
        await to_thread.run_sync(lambda: output.add(output_line(result), id, answered=answered))

    for result in requests.refused:
        await write(result)
    async with gateway.map(
        requests, concurrency=concurrency, ordered=False, agent_name=agent_name, on_progress=on_progress
    ) as results:
        async for result in results:
            await write(result)
    return results.progress
