"""Whether two names mean the same model: each kind of server has its own way to name what it has loaded."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["is_among"]

_FOLDERS = re.compile(r"^.*[/\\](?=[^/\\]+\.gguf$)")


def is_among(model: str, known: Collection[str]) -> bool:
    """Whether `model` is one of the known names.

    Ollama's `llama3` is `llama3:latest`, and llama-server's `/models/qwen3.gguf` is `qwen3`.
    """
    return _plain(model) in map(_plain, known)


def _plain(model: str) -> str:
    return _FOLDERS.sub("", model).removesuffix(".gguf").removesuffix(":latest")
