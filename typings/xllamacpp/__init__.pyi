# The part of xllamacpp 2026.10 that the project uses; the wheel carries no type information.

from collections.abc import Callable, Mapping
from typing import Any, overload

class CpuParams:
    n_threads: int

class CommonParamsModel:
    path: str

class CommonParamsSampling:
    seed: int

class CommonParams:
    api_keys: list[str]
    cpuparams: CpuParams
    embedding: bool
    endpoint_metrics: bool
    endpoint_props: bool
    endpoint_slots: bool
    hostnames: list[str]
    model: CommonParamsModel
    model_alias: set[str]
    n_ctx: int
    n_gpu_layers: int
    n_parallel: int
    port: int
    sampling: CommonParamsSampling
    use_jinja: bool
    verbosity: int
    warmup: bool

class Server:
    def __init__(self, params: CommonParams) -> None: ...
    @property
    def listening_address(self) -> str: ...
    @overload
    def handle_chat_completions(
        self, request: Mapping[str, Any], callback: Callable[[dict[str, Any]], object] | None = None
    ) -> dict[str, Any]: ...
    @overload
    def handle_chat_completions(self, request: bytes, callback: Callable[[bytes], object]) -> None: ...
    def handle_completions(
        self, request: Mapping[str, Any], callback: Callable[[dict[str, Any]], object] | None = None
    ) -> dict[str, Any]: ...
