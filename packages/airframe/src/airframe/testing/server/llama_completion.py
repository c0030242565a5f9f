"""llama.cpp's own `/completion`, spoken by a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import override

from airframe.protocols.reading import JSONDict, text_in
from airframe.testing.server.openai_chat import LLAMA_REFUSALS, llama_error, read_options
from airframe.testing.server.wire_format import SAMPLING, Asked, Document, Refusal, Speech, WireFormat, known
from airframe.testing.steps import Answer
from airframe.types import FinishReason, InferenceRequest, Message, ToolCall

__all__ = ["CompletionFormat"]


class CompletionFormat(WireFormat):
    """The native completion: text, in which a thought stands between `<think>` tags."""

    name = "llama.cpp /completion"
    finish_reasons: ClassVar[Mapping[FinishReason, str]] = {FinishReason.STOP: "eos", FinishReason.LENGTH: "limit"}
    refusals = LLAMA_REFUSALS

    @override
    def read(self, body: JSONDict) -> InferenceRequest:
        names = {name: name for name in ("top_k", "min_p", "repeat_penalty")}
        return InferenceRequest(
            messages=[Message("user", text_in(body, "prompt") or "")],
            **read_options(body, {**SAMPLING, **names, "n_predict": "max_tokens"}),
        )

    @override
    def speech(self, asked: Asked, answer: Answer) -> Speech:
        if answer.tool_calls:
            raise ValueError(f"{self.name} cannot say tool calls: it answers with plain text")
        return _CompletionSpeech(self, asked, answer)

    @override
    def error(self, refusal: Refusal, message: str) -> Document:
        return llama_error(refusal, message)


class _CompletionSpeech(Speech):
    def __init__(self, form: CompletionFormat, asked: Asked, answer: Answer) -> None:
        super().__init__(asked, answer)
        self._form = form
        self._reason = form.finish_reason(answer)
        self._thinking = False

    @override
    def reasoning(self, piece: str) -> bytes:
        opened, self._thinking = "" if self._thinking else "<think>", True
        return self._piece(opened + piece)

    @override
    def text(self, piece: str) -> bytes:
        return self._piece(self._end_of_thought() + piece)

    @override
    def tool_call(self, call: ToolCall) -> bytes:
        raise NotImplementedError  # `speech` has refused

    @override
    def end(self) -> bytes:
        return self._form.frame(self._last(self._end_of_thought()))

    @override
    def whole(self) -> Document:
        thought = "".join(self.answer.thoughts)
        return self._last((f"<think>{thought}</think>" if thought else "") + "".join(self.answer.texts))

    def _end_of_thought(self) -> str:
        closed, self._thinking = "</think>" if self._thinking else "", False
        return closed

    def _piece(self, text: str) -> bytes:
        return self._form.frame({"index": 0, "content": text, "tokens": [], "stop": False, "id_slot": 0})

    def _last(self, text: str) -> Document:
        usage = self.answer.usage
        timings = known(cache_n=usage.cache_read_tokens, prompt_n=usage.input_tokens, predicted_n=usage.output_tokens)
        counts = known(tokens_evaluated=usage.input_tokens, tokens_predicted=usage.output_tokens, timings=timings)
        return {
            "index": 0,
            "content": text,
            "tokens": [],
            "id_slot": 0,
            "stop": True,
            "model": self.model,
            "truncated": False,
            "stop_type": self._reason,
            "stopping_word": "",
            **counts,
        }
