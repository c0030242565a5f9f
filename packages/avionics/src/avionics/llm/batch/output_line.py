"""What came of a request, as a line in the form of OpenAI's batches (guide "Batch API", read 2026-11-20).

Such as: `{"id": ..., "custom_id": "a", "response": {"status_code": 200, "request_id": ..., "body": {}}, "error": null}`

A backend's refusal is a response with its status; what failed otherwise has no response, but an `error`.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, cast

from airframe.types import InferenceResult, JSONObject
from avionics.errors import LLMError
from avionics.llm.batch.chat_answer import chat_answer, chat_error
from avionics.llm.batch.results import BatchResult
from avionics.llm.call_id import new_call_id
from avionics.llm.responses import LLMResponse

__all__ = ["BEGINNING", "answered_id", "is_answer", "output_line"]

BEGINNING = b'{"id": "batch_req_'
"""With this each line begins."""

_OK = 200
_REFUSED = 400


def output_line(result: BatchResult) -> bytes:
    """The line, with its line feed. The result must have an id."""
    response, error = _outcome(result)
    line = {"id": f"batch_req_{new_call_id()}", "custom_id": result.id, "response": response, "error": error}
    return json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def answered_id(line: bytes) -> str:
    """The id of the request that a line is about. Raises `ValueError` for what is no such line."""
    return cast("str", _read(line)["custom_id"])


def is_answer(line: bytes) -> bool:
    """Whether it is an answer, not a failure. Raises `ValueError` for what is no such line."""
    response = _read(line)["response"]
    return response is not None and response["status_code"] == _OK


def _read(line: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        given: Any = json.loads(line)
        match given:
            case {"custom_id": str(), "response": None | {"status_code": int()}, "error": _}:
                return cast("dict[str, Any]", given)
            case _:
                pass
    raise ValueError("it is not the answer to a request")


def _outcome(result: BatchResult) -> tuple[JSONObject | None, JSONObject | None]:
    """`response` and `error`; one of them is None."""
    if result.response is not None:
        return _response(_OK, _request_id(result.response), chat_answer(result.response)), None
    error = result.error or LLMError()
    status = error.status if isinstance(error, LLMError) else None
    if isinstance(error, LLMError) and status is not None and status >= _REFUSED:
        attempts = error.attempts
        return _response(status, attempts[-1].request_id if attempts else None, chat_error(error)), None
    code = error.code or error.category.value if isinstance(error, LLMError) else type(error).__name__
    return None, {"code": code, "message": str(error)}


def _response(status: int, request_id: str | None, body: JSONObject) -> JSONObject:
    return {"status_code": status, "request_id": request_id, "body": body}


def _request_id(response: LLMResponse) -> str:
    """The backend's, or that of our call."""
    result = cast("InferenceResult", response.metadata["result"])
    return result.request_id or cast("str", response.metadata["call_id"])
