"""Local servers: what llama-server tells about itself, and Ollama, MLX and LM Studio where the environment names one.

mlx_lm.server is started where mlx-lm is installed: in this environment, or in that of the Python which
AIRFRAME_MLX_PYTHON names. AIRFRAME_OLLAMA_URL, AIRFRAME_MLX_URL and AIRFRAME_LM_STUDIO_URL are roots of running
servers; a model may follow after a space (`http://127.0.0.1:11434 qwen3:4b`), else the first one that the server lists
is asked.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from airframe import (
    AirframeError,
    EndpointSpec,
    ErrorCategory,
    FinishReason,
    InferenceRequest,
    LlamaServerAdapter,
    Message,
    StreamEventType,
    create_adapter,
)
from airframe.testing.llama_server import LlamaServerProcess
from airframe.testing.tiny_model import REPLY
from airframe.types import LlamaTimings, ReasoningOptions

pytestmark = pytest.mark.anyio

VARIABLES = {"ollama": "AIRFRAME_OLLAMA_URL", "mlx": "AIRFRAME_MLX_URL", "lm_studio": "AIRFRAME_LM_STUDIO_URL"}
THOUGHT = "Let me think about this first"


def ask(**options: Any) -> InferenceRequest:
    return InferenceRequest(messages=[Message("user", "Hi")], temperature=0.0, max_tokens=120, **options)


def wait_until_healthy(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", timeout=1).is_success:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(0.2)
    pytest.fail(f"mlx_lm.server did not start (exit status {server.poll()}):\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def mlx_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The root of an mlx_lm.server with the tiny scripted model, or else what AIRFRAME_MLX_URL says."""
    python = os.environ.get("AIRFRAME_MLX_PYTHON") or (sys.executable if importlib.util.find_spec("mlx_lm") else None)
    if python is None:
        if VARIABLES["mlx"] not in os.environ:
            pytest.skip(f"mlx_lm is not installed, AIRFRAME_MLX_PYTHON names no Python, {VARIABLES['mlx']} no server")
        yield os.environ[VARIABLES["mlx"]]
        return
    folder = tmp_path_factory.mktemp("mlx")
    model, log, cache = folder / "tiny", folder / "log", folder / "cache"
    cache.mkdir()  # without one the server cannot list its models
    subprocess.run([sys.executable, Path(__file__).parent / "programs/write_tiny_hf_model.py", model], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    command = [python, "-m", "mlx_lm.server", f"--model={model}", "--host=127.0.0.1", f"--port={port}"]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder), "HF_HUB_CACHE": str(cache)}
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as server:
        try:
            wait_until_healthy(server, f"http://127.0.0.1:{port}", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


@pytest.fixture
def endpoint(kind: str, request: pytest.FixtureRequest) -> EndpointSpec:
    """The server of this kind that was started, or that the environment names."""
    server: str = request.getfixturevalue("mlx_server") if kind == "mlx" else os.environ.get(VARIABLES[kind], "")
    url, _, model = server.partition(" ")
    if not url:
        pytest.skip(f"{VARIABLES[kind]} names no server")
    return EndpointSpec(base_url=url, backend_kind=kind, model=model or None)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("enabled", "thought"), [(True, THOUGHT), (False, ""), (None, THOUGHT)])
async def test_native_reasoning_stays_out_of_the_text(
    llama_server: LlamaServerProcess, stream: bool, enabled: bool | None, thought: str
) -> None:
    """The template opens the thought in the prompt, so the answer begins inside it: it is told apart all the same."""
    request = ask(reasoning=ReasoningOptions(enabled=enabled))
    endpoint = EndpointSpec(base_url=llama_server.base_url)
    async with LlamaServerAdapter(api_type="native") as adapter:
        if stream:
            async with adapter.stream_infer(endpoint, request) as events:
                text = "".join([event.text async for event in events if event.type is StreamEventType.TOKEN])
            result = events.result
            assert text == REPLY
        else:
            result = await adapter.infer(endpoint, request)
    assert (result.text, result.reasoning) == (REPLY, thought)
    assert result.warnings == ()


@pytest.mark.parametrize("options", [{"response_format": "json"}, {"extra_params": {"grammar": 'root ::= "Hello"'}}])
async def test_native_answer_under_a_grammar_is_text(llama_server: LlamaServerProcess, options: dict[str, Any]) -> None:
    """A grammar leaves no room for a thought: what it makes is the answer, though the template has opened one."""
    async with LlamaServerAdapter(api_type="native") as adapter:
        result = await adapter.infer(EndpointSpec(base_url=llama_server.base_url), ask(**options))
    assert result.text
    assert result.reasoning == ""


async def test_properties_and_slots(llama_server: LlamaServerProcess) -> None:
    """The server tells its window, template and slots, and all slots are free."""
    endpoint = EndpointSpec(base_url=llama_server.base_url)
    async with LlamaServerAdapter() as adapter:
        props = await adapter.props(endpoint)
        slots = await adapter.slots(endpoint)
    assert (props.context_window, props.slots) == (2048, 2)
    assert props.chat_template is not None
    assert "enable_thinking" in props.chat_template
    assert props.build
    assert props.modalities == frozenset()
    assert [(slot.id, slot.context_window) for slot in slots] == [(0, 2048), (1, 2048)]


async def test_tokens_and_prompt(llama_server: LlamaServerProcess) -> None:
    """Texts become tokens, and messages the prompt of the server's own template."""
    endpoint = EndpointSpec(base_url=llama_server.base_url)
    async with LlamaServerAdapter() as adapter:
        assert len(await adapter.tokenize(endpoint, "Hello from")) == 2
        assert len(await adapter.tokenize(endpoint, "<|im_end|>", special=True)) < len(
            await adapter.tokenize(endpoint, "<|im_end|>")
        )
        prompt = await adapter.apply_template(endpoint, ask(reasoning=ReasoningOptions(enabled=True)))
    assert prompt.endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>")


async def test_timings_and_prompt_cache(llama_server: LlamaServerProcess) -> None:
    """What was measured has names and units, and the prompt cache can be turned off."""
    endpoint = EndpointSpec(base_url=llama_server.base_url)
    async with LlamaServerAdapter() as adapter:
        await adapter.infer(endpoint, ask())
        cold = LlamaTimings.of((await adapter.infer(endpoint, ask(extra_params={"cache_prompt": False}))).timings)
        warm = LlamaTimings.of((await adapter.infer(endpoint, ask(extra_params={"id_slot": 0}))).timings)
    assert cold.cached_tokens == 0
    assert cold.prompt_tokens == 22
    assert warm.predicted_tokens == 27
    assert warm.predicted_seconds is not None
    assert warm.tokens_per_second == pytest.approx(27 / warm.predicted_seconds)


@pytest.mark.timeout(110)  # mlx_lm.server compiles its kernels when it is first asked
@pytest.mark.parametrize("kind", VARIABLES)
async def test_named_server(kind: str, endpoint: EndpointSpec) -> None:
    """A running server of this kind is well, lists its models, and answers whole and streamed alike."""
    async with create_adapter(kind) as adapter:
        assert (await adapter.check_health(endpoint)).healthy
        models = await adapter.list_models(endpoint)
        assert models
        request = ask(model=endpoint.model or models[0].id)
        whole = await adapter.infer(endpoint, request)
        async with adapter.stream_infer(endpoint, request) as stream:
            text = "".join([event.text async for event in stream if event.type is StreamEventType.TOKEN])
    assert whole.finish_reason in {FinishReason.STOP, FinishReason.LENGTH}
    assert whole.text or whole.reasoning
    assert (text, stream.result.reasoning) == (whole.text, whole.reasoning)
    assert stream.result.usage.output_tokens == whole.usage.output_tokens
    assert whole.usage.output_tokens


@pytest.mark.timeout(110)
@pytest.mark.parametrize("kind", ["ollama", "mlx"])
async def test_named_server_without_the_model(kind: str, endpoint: EndpointSpec) -> None:
    """A model that is not there is told as such, and asked for once."""
    async with create_adapter(kind) as adapter:
        with pytest.raises(AirframeError) as caught:
            await adapter.infer(endpoint, ask(model="no-such-model-anywhere"))
    assert caught.value.category is ErrorCategory.NOT_FOUND
    assert len(caught.value.attempts) == 1
