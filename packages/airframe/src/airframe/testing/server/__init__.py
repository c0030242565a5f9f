"""A fake server on real sockets, that answers from a script as OpenAI, Anthropic, llama-server or Ollama do."""

from airframe.testing.server.dialects import DIALECTS, Dialect
from airframe.testing.server.fake_server import FakeServer

__all__ = ["DIALECTS", "Dialect", "FakeServer"]
