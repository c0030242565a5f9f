"""gpt-oss and its kin on a local server."""

from __future__ import annotations

from avionics.llm.provider import LLMProvider

__all__ = ["LocalGPTOSSProvider"]


class LocalGPTOSSProvider(LLMProvider):
    """MLX's server, or another one that passes the text of gpt-oss on as it is: its channels are told apart."""

    name = "gpt_oss"
    kind = "mlx"
