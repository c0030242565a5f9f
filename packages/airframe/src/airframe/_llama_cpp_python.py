"""llama.cpp through llama-cpp-python (0.3.36): the dicts it yields are documents of an answer. Nothing else knows it.

The library counts no tokens of a stream, stops only where it yields something, and ends the process for a grammar that
cannot be read. A subclass of its model, which sees every token, mends these three.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic_core import to_json

from airframe._in_process import Generation, LoadedModel, ModelOptions
from airframe.errors import BackendError, ErrorCategory, Phase
from airframe.protocols.backend_error import ErrorBody
from airframe.protocols.llama_cpp_python import LLAMA_CPP_PYTHON
from airframe.protocols.reading import JSONDict, parse_object

__all__ = ["ChatLlama", "LlamaModel", "Meter", "error_document", "load_llama"]


def load_llama(
    path: Path, options: ModelOptions, *, chat_format: str | None = None, chat_handler: object = None
) -> LoadedModel:
    """A model of llama-cpp-python. Raises `BackendError`."""
    arguments: dict[str, Any] = {
        "model_path": str(path),
        "n_ctx": options.context_window or 0,
        "n_threads": options.threads,
        "chat_format": chat_format,
        "chat_handler": chat_handler,
        "verbose": options.verbose,
    }
    if options.gpu_layers is not None:
        arguments["n_gpu_layers"] = options.gpu_layers
    if options.configure is not None:
        options.configure(arguments)
    try:
        return LlamaModel(_metered_llama()(**arguments), name=path.stem)
    except Exception as error:  # whatever it is, the model is not there
        raise BackendError(
            f"llama-cpp-python cannot load {path.name!r}: {error}; verbose=True shows why",
            category=_category(error),
            phase=Phase.BEFORE_SEND,
            retryable=False,
        ) from error


@dataclass(slots=True)
class Meter:
    """What an answer has cost so far, in tokens, and for whom it is made."""

    generation: Generation
    input_tokens: int = 0
    output_tokens: int = 0


class ChatLlama(Protocol):
    """What is asked of the library's model. It counts on `meter`, and looks there whether it should go on."""

    meter: Meter

    def create_chat_completion(self, **arguments: Any) -> Mapping[str, Any] | Iterator[Mapping[str, Any]]: ...

    def close(self) -> None: ...


class LlamaModel(LoadedModel):
    """A model that answers one request at a time, under the name of its file."""

    def __init__(self, llama: ChatLlama, *, name: str) -> None:
        self._llama = llama
        self._name = name

    def answer(self, generation: Generation) -> None:
        self._llama.meter = Meter(generation)
        try:
            self._speak(generation, parse_object(generation.body))
        except _Abandoned:
            pass
        except Exception as error:  # noqa: BLE001  (all of them are answers, most of them to the caller's mistakes)
            generation.take(error_document(error))

    def close(self) -> None:
        self._llama.close()

    def _speak(self, generation: Generation, arguments: JSONDict) -> None:
        answer = self._llama.create_chat_completion(**arguments, model=self._name)
        if isinstance(answer, Mapping):
            generation.take(_document(_as_chunk(answer)))
        else:
            with closing(cast("Generator[Mapping[str, Any]]", answer)) as chunks:
                for chunk in chunks:
                    if generation.take(_document(chunk)):
                        return
        meter = self._llama.meter
        if meter.input_tokens:
            usage = {
                "prompt_tokens": meter.input_tokens,
                "completion_tokens": meter.output_tokens,
                "total_tokens": meter.input_tokens + meter.output_tokens,
            }
            generation.take(_document({"choices": [], "usage": usage}))


def error_document(error: Exception) -> bytes:
    """An exception as a server would send it: its name is the code, and the status says whose fault it is."""
    status = 500 if _category(error) is ErrorCategory.SERVER else 400
    said = {"message": str(error) or "no reason is given", "type": type(error).__name__, "code": status}
    return to_json({"error": said})


class _Abandoned(Exception):  # noqa: N818  (it ends the work, and nobody hears of it)
    """Nobody waits for the answer any more."""


@cache
def _metered_llama() -> type[ChatLlama]:
    import llama_cpp

    class MeteredLlama(llama_cpp.Llama):
        meter: Meter

        def create_chat_completion(self, **arguments: Any) -> Mapping[str, Any] | Iterator[Mapping[str, Any]]:
            if isinstance(grammar := arguments.get("grammar"), str):
                arguments["grammar"] = llama_cpp.LlamaGrammar.from_string(grammar, verbose=False)
            return super().create_chat_completion(**arguments)

        def generate(self, tokens: Sequence[int], *args: Any, **options: Any) -> Generator[int]:
            if (grammar := options.get("grammar")) is not None:
                _check_grammar(self, grammar)
            self.meter.input_tokens += len(tokens)
            vocabulary = llama_cpp.llama_model_get_vocab(self.model)
            for token in super().generate(tokens, *args, **options):
                if not llama_cpp.llama_vocab_is_eog(vocabulary, token):
                    self.meter.output_tokens += 1
                yield token

        def eval(self, tokens: Sequence[int]) -> None:
            for start in range(0, len(tokens), self.n_batch):
                if self.meter.generation.abandoned:
                    raise _Abandoned
                super().eval(tokens[start : start + self.n_batch])

    def _check_grammar(llama: llama_cpp.Llama, grammar: llama_cpp.LlamaGrammar) -> None:
        text: str = grammar._grammar  # noqa: SLF001  (nothing public tells)
        sampler = llama_cpp.llama_sampler_init_grammar(
            llama_cpp.llama_model_get_vocab(llama.model), text.encode(), b"root"
        )
        if not sampler:
            raise ValueError("the grammar cannot be read")
        llama_cpp.llama_sampler_free(sampler)

    return MeteredLlama


def _category(error: Exception) -> ErrorCategory:
    return LLAMA_CPP_PYTHON.errors.categorize(ErrorBody(str(error), (type(error).__name__,)), 500)


def _as_chunk(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """A whole answer as the one chunk of a stream."""
    return {**answer, "choices": [{**choice, "delta": choice["message"]} for choice in answer["choices"]]}


def _document(chunk: Mapping[str, Any]) -> bytes:
    return to_json(chunk, fallback=lambda number: number.item())  # probabilities are numbers of numpy
