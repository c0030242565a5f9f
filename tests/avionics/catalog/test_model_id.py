"""Model ids: what they say, and that they say it again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avionics.errors import ConfigurationError
from avionics.llm.catalog import ModelId, parse_model_id
from avionics.llm.catalog.model_id import DEFAULT_PORTS, PROVIDERS


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("gpt-5", ModelId(name="gpt-5")),
        ("openai:gpt-5", ModelId(name="gpt-5", provider="openai")),
        ("ollama:llama3:latest", ModelId(name="llama3:latest", provider="ollama")),
        ("openrouter:openai/gpt-5:free", ModelId(name="openai/gpt-5:free", provider="openrouter")),
        ("llama3:latest", ModelId(name="llama3:latest")),
        (
            "llama3:latest:ollama@localhost:11434",
            ModelId(name="llama3:latest", runtime="ollama", host="localhost", port=11434),
        ),
        ("llama3:latest:ollama", ModelId(name="llama3:latest", runtime="ollama")),
        ("qwen:LM-Studio@10.0.0.2", ModelId(name="qwen", runtime="lm_studio", host="10.0.0.2")),
        ("a/b.gguf:llama_server@[::1]:8081", ModelId(name="a/b.gguf", runtime="llama_server", host="::1", port=8081)),
        ("claude-opus-4-5@20251101", ModelId(name="claude-opus-4-5@20251101")),
    ],
)
def test_an_id_says_who_is_asked_for_what(text: str, meant: ModelId) -> None:
    """A provider in front, or a runtime and its address behind."""
    assert parse_model_id(text) == meant


@pytest.mark.parametrize("text", ["", "  ", "openai:", "m:ollama@", "m:ollama@host:99999", "m:ollama@a b"])
def test_what_is_no_id_is_an_error_that_shows_one(text: str) -> None:
    """The remedy is an example."""
    with pytest.raises(ConfigurationError, match=r"write"):
        parse_model_id(text)


def test_an_id_has_an_address() -> None:
    """Its own, or where the runtime usually listens; a provider's is in the settings."""
    assert parse_model_id("m:ollama@10.0.0.2:99").base_url == "http://10.0.0.2:99"
    assert parse_model_id("m:ollama").base_url == "http://127.0.0.1:11434"
    assert parse_model_id("m:mlx@[::1]").base_url == "http://[::1]:8080"
    assert parse_model_id("openai:gpt-5").base_url is None
    assert parse_model_id("m:llama_cpp").base_url is None


names = st.from_regex(r"[a-z0-9][a-z0-9./_-]{0,12}(:[a-z0-9.]{1,8})?", fullmatch=True).filter(
    lambda name: name.partition(":")[0] not in PROVIDERS and name.rpartition(":")[2] not in DEFAULT_PORTS
)
hosts = st.sampled_from(["localhost", "127.0.0.1", "::1", "gpu-box.local"])
local = st.builds(
    ModelId,
    name=names,
    runtime=st.sampled_from(sorted(DEFAULT_PORTS)),
    host=hosts,
    port=st.none() | st.integers(1, 65535),
)
served = st.builds(ModelId, name=names, provider=st.none() | st.sampled_from(sorted(PROVIDERS)))


@given(local | served)
def test_an_id_written_and_read_is_the_same(id: ModelId) -> None:
    """What discovery prints can be given to `create_llm`."""
    assert parse_model_id(str(id)) == id
