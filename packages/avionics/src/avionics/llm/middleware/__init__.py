"""Extensions of the gateway: what stands around calls, whole and streamed.

    class Shorter(Middleware):
        async def before_invoke(self, call):
            return replace(call.request, max_tokens=50)

    chain = MiddlewareChain([RedactPII(), LogCalls(), Shorter()])  # the first one is outermost

Who only wants to watch is an observer: see `avionics.llm.records.CallObserver`.
"""

from typing import TYPE_CHECKING

from avionics._lazy_names import loader

if TYPE_CHECKING:
    from avionics.llm.middleware.call_context import CallContext
    from avionics.llm.middleware.chain import MiddlewareChain
    from avionics.llm.middleware.guardrail import Guardrail, Objection
    from avionics.llm.middleware.log_calls import LogCalls
    from avionics.llm.middleware.middleware import (
        AnswerStream,
        Ask,
        AskStream,
        FailurePolicy,
        Middleware,
        Piece,
        TextTransform,
    )
    from avionics.llm.middleware.personal_data import DETECTORS, Detector, pattern_detector
    from avionics.llm.middleware.redact_pii import RedactPII
else:
    __getattr__ = loader(
        __name__,
        {
            "avionics.llm.middleware.call_context": ("CallContext",),
            "avionics.llm.middleware.chain": ("MiddlewareChain",),
            "avionics.llm.middleware.guardrail": ("Guardrail", "Objection"),
            "avionics.llm.middleware.log_calls": ("LogCalls",),
            "avionics.llm.middleware.middleware": (
                "AnswerStream",
                "Ask",
                "AskStream",
                "FailurePolicy",
                "Middleware",
                "Piece",
                "TextTransform",
            ),
            "avionics.llm.middleware.personal_data": ("DETECTORS", "Detector", "pattern_detector"),
            "avionics.llm.middleware.redact_pii": ("RedactPII",),
        },
    )

__all__ = [
    "DETECTORS",
    "AnswerStream",
    "Ask",
    "AskStream",
    "CallContext",
    "Detector",
    "FailurePolicy",
    "Guardrail",
    "LogCalls",
    "Middleware",
    "MiddlewareChain",
    "Objection",
    "Piece",
    "RedactPII",
    "TextTransform",
    "pattern_detector",
]


def __dir__() -> list[str]:
    return sorted(__all__)
