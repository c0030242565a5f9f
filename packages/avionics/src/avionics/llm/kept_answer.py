"""The pieces of an answer that the response cache had: given again as they came, without asking anybody."""

from __future__ import annotations

from collections import deque

from anyio.lowlevel import checkpoint

from avionics.llm.cache import CachedAnswer
from avionics.llm.call import Call
from avionics.llm.provider import LLMProvider
from avionics.llm.responses import LLMResponse

__all__ = ["KeptAnswer"]


class KeptAnswer:
    """Hands out one kept answer; the counterpart of `live_answer.LiveAnswer`."""

    def __init__(self, call: Call, provider: LLMProvider, deployment: str, kept: CachedAnswer) -> None:
        self.provider = kept.provider
        self.model = call.request.model
        self.pieces = 0
        """Pieces that were handed out."""
        self.call = call
        """The books of the call."""
        self._asked = provider
        self._deployment = deployment
        self._kept = kept
        self._held = deque(kept.replayed_pieces)
        call.open_kept(provider)

    @property
    def reported_tokens(self) -> int | None:
        """How long the answer was by its backend's count."""
        return self._kept.result.usage.output_tokens

    async def next(self) -> str | None:
        """The next piece of text; None at the end."""
        try:
            await checkpoint()
        except BaseException as error:
            self.call.abort(error)
            raise
        if not self._held:
            return None
        self.pieces += 1
        return self._held.popleft()

    async def finish(self) -> LLMResponse:
        """The whole answer."""
        return self.call.hit(self._kept, deployment=self._deployment)

    async def aclose(self) -> None:
        """There is nothing to let go of."""
