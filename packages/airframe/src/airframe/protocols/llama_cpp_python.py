"""llama-cpp-python's chat completions, which are arguments of a call and the dicts it yields, written as JSON.

What the library takes and then does not heed is said in words it does heed, or dropped with a warning. Sources: the
library's 0.3.36, and 53 recorded calls of it (2026-11-20).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from airframe.errors import ErrorCategory
from airframe.protocols.backend_error import ErrorTable, Phrase
from airframe.protocols.chat_dialect import ChatDialect
from airframe.protocols.openai_chat import OpenAIChatProtocol
from airframe.protocols.openai_chat_request import chat_body
from airframe.protocols.protocol import Unsupported, WireRequest, body_bytes
from airframe.types.messages import AudioPart, FilePart, ImagePart, Message, TextPart
from airframe.types.request import InferenceRequest, JSONSchemaFormat, NamedTool, ToolSpec
from airframe.types.result import InferenceWarning

__all__ = ["LLAMA_CPP_PYTHON", "TOOL_FORMAT", "LlamaCppPythonProtocol"]

_C = ErrorCategory

LLAMA_CPP_PYTHON = ChatDialect(
    name="llama_cpp_python",
    fields={
        name: name
        for name in (
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "repeat_penalty",
            "presence_penalty",
            "frequency_penalty",
            "seed",
            "logprobs",
            "top_logprobs",
        )
    },
    cut_calls_are_calls=True,
    errors=ErrorTable(
        # Names of exceptions; one that is missing here is the library's own failure.
        codes=MappingProxyType(
            {
                "AssertionError": _C.INVALID_REQUEST,
                "AttributeError": _C.INVALID_REQUEST,
                "KeyError": _C.INVALID_REQUEST,
                "LlamaChatCompletionHandlerNotFoundException": _C.INVALID_REQUEST,
                "RuntimeError": _C.SERVER,
                "TypeError": _C.INVALID_REQUEST,
                "UndefinedError": _C.INVALID_REQUEST,
                "ValueError": _C.INVALID_REQUEST,
            }
        ),
        phrases=(
            Phrase("exceed context window of", _C.CONTEXT_LENGTH, "ValueError, recorded"),
            Phrase("model path does not exist", _C.NOT_FOUND, "ValueError when loading, recorded"),
            Phrase("failed to load model from file", _C.SERVER, "ValueError when loading, recorded"),
            Phrase("failed to create llama_context", _C.SERVER, "ValueError when loading"),
            Phrase("logprobs is not supported", _C.UNSUPPORTED, "ValueError without logits_all, recorded"),
            Phrase("must be created with embedding=true", _C.UNSUPPORTED, "RuntimeError, recorded"),
            Phrase("streaming tool choice is not supported", _C.UNSUPPORTED, "ValueError"),
        ),
    ),
)

TOOL_FORMAT = "chatml-function-calling"
"""The chat format that lets the model choose a tool. In others the text of a call stays text, unless it is forced."""


class LlamaCppPythonProtocol(OpenAIChatProtocol):
    """The arguments of `Llama.create_chat_completion`.

    Args:
        chat_format: the one that the model was loaded with.
        reads_images: whether a chat handler that does was loaded with it.
    """

    def __init__(self, *, chat_format: str | None = None, reads_images: bool = False) -> None:
        super().__init__(LLAMA_CPP_PYTHON)
        self._chooses_tools = chat_format == TOOL_FORMAT
        self._reads_images = reads_images

    def encode(self, request: InferenceRequest, *, model: str | None, stream: bool) -> WireRequest:
        dropped = Unsupported(self.name, request.strict)
        asked = self._heeded(request, dropped)
        body = chat_body(asked, model=model, stream=stream, dialect=self.dialect, dropped=dropped)
        body.pop("stream_options", None)
        body.pop("model", None)  # there is one model, whatever it is called
        if isinstance(asked.response_format, JSONSchemaFormat):
            body["response_format"] = {"type": "json_object", "schema": asked.response_format.schema}
        if asked.logprobs:
            body.setdefault("top_logprobs", 0)  # without a number there are none at all
        for name in self._unheeded(asked):
            if body.pop(name, None) is not None:
                dropped.drop(name, "with these tools, or in this chat format, it is not heeded")
        if asked.tool_choice == "auto":
            body.pop("stream", None)  # refused
        return WireRequest(
            path="/chat/completions", body=body_bytes(body, request.extra_params), warnings=tuple(dropped.warnings)
        )

    def _heeded(self, request: InferenceRequest, dropped: Unsupported) -> InferenceRequest:
        """The request in words that are heeded."""
        request = replace(request, messages=[self._readable(message, dropped) for message in request.messages])
        if request.reasoning is not None:
            dropped.drop("reasoning", "its templates get no arguments")
            request = replace(request, reasoning=None)
        if self._chooses_tools and any(message.role == "tool" for message in request.messages):
            dropped.drop("ToolResultPart", f"the chat format {TOOL_FORMAT} leaves out what tools returned")
        return self._tools(request, dropped)

    def _readable(self, message: Message, dropped: Unsupported) -> Message:
        """The message with its texts in one piece: some chat formats print a list as Python does."""
        if message.role not in {"system", "developer", "user"} or isinstance(message.content, str):
            return message
        if self._reads_images and any(isinstance(part, ImagePart) for part in message.content):
            return message
        for part in message.content:
            if isinstance(part, (ImagePart, AudioPart, FilePart)):
                dropped.drop(type(part).__name__, "it needs a chat_handler that reads images")
        texts = [part.text for part in message.content if isinstance(part, TextPart)]
        return replace(message, content="".join(texts))

    def _tools(self, request: InferenceRequest, dropped: Unsupported) -> InferenceRequest:
        """Tools only where they may be called, and a choice that is heeded."""
        functions = [tool for tool in request.tools if isinstance(tool, ToolSpec)]
        choice = request.tool_choice
        if choice == "none" or not functions:
            # The tools of "none" would still be shown to the model.
            return replace(request, tools=[tool for tool in request.tools if tool not in functions], tool_choice=None)
        if choice == "required" and len(functions) == 1:
            choice = NamedTool(functions[0].name)
        elif choice == "required":
            dropped.drop("tool_choice", "one of several tools cannot be demanded; name it")
            choice = None
        if isinstance(choice, NamedTool):
            return replace(request, tool_choice=choice)
        if self._chooses_tools:
            return replace(request, tool_choice="auto")
        why = f"a call stays text in the answer; name one tool, or use the chat format {TOOL_FORMAT!r}"
        if request.strict:
            dropped.drop("tools", why)
        dropped.warnings.append(InferenceWarning("tools", why))
        return replace(request, tool_choice=None)

    def _unheeded(self, asked: InferenceRequest) -> Sequence[str]:
        """Fields that some ways of answering leave aside."""
        names = ["seed"] if self._chooses_tools else []
        if asked.tool_choice is not None:
            names.append("response_format")
        if asked.tool_choice == "auto":
            names += ["max_tokens", "stop"]
        return names
