"""Providers: where they are, how they are called, and what differs between their kinds.

    providers:
      openai: {api_key_env: OPENAI_API_KEY, model: gpt-5}
      big_box: {kind: llama_server, base_url: "http://10.0.0.7:8080", options: {api_type: native}}

Under a well-known name (`WELL_KNOWN`) an entry may leave out its kind, and everything that has a default.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, Literal, TypeAlias, cast

from pydantic import Discriminator, Field, SecretStr, Tag

from airframe.adapters import ProviderPreferences
from airframe.types import Markup
from avionics.settings.section import Count, Key, Name, Seconds, Section, Url

__all__ = [
    "KINDS",
    "WELL_KNOWN",
    "AnthropicOptions",
    "AnthropicSettings",
    "AnyProviderSettings",
    "AzureOptions",
    "AzureSettings",
    "BackupSettings",
    "EndpointSettings",
    "LMStudioSettings",
    "LlamaCppOptions",
    "LlamaCppSettings",
    "LlamaServerOptions",
    "LlamaServerSettings",
    "MLXSettings",
    "MockSettings",
    "NoOptions",
    "OllamaOptions",
    "OllamaSettings",
    "OpenAICompatibleSettings",
    "OpenAIOptions",
    "OpenAISettings",
    "OpenRouterOptions",
    "OpenRouterSettings",
    "ProviderSettings",
    "RegisteredSettings",
    "TimeoutSettings",
    "with_kind",
]


class TimeoutSettings(Section, frozen=True):
    """Limits in seconds, with the meanings of `airframe.endpoints.Timeouts`. None takes what is usual for the kind."""

    connect: Seconds | None = None
    """Until the connection stands."""
    first_event: Seconds | None = None
    """Until the first event of an answer."""
    idle: Seconds | None = None
    """Between two events."""
    attempt: Seconds | None = None
    """For one exchange."""
    total: Seconds | None = None
    """For all attempts and the pauses between them."""

    def over(self, other: TimeoutSettings) -> dict[str, float]:
        """The stated limits: these, and those of `other` that are not stated here."""
        return {**other.model_dump(exclude_none=True), **self.model_dump(exclude_none=True)}


class EndpointSettings(Section, frozen=True):
    """A place to call, and the key for it."""

    base_url: Url | None = None
    """Where the backend is found."""
    api_key: Key | None = None
    """The key."""
    api_key_env: Name | None = None
    """The environment variable that holds the key; so the file need not."""
    model: Name | None = None
    """The model for calls that name none; on Azure, the name of the deployment."""
    headers: Mapping[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    """Sent with every request."""
    proxy: SecretStr | None = None
    """An `http`, `https` or `socks5` proxy."""
    trust_env: bool | None = None
    """Take the proxy from the environment, as `HTTPS_PROXY` and `NO_PROXY` say."""
    ca_file: Path | None = None
    """Certificates to trust instead of the built-in ones."""
    client_cert: tuple[Path, Path] | None = None
    """Certificate file and key file with which to prove who we are."""
    max_connections: Count | None = None
    """How many exchanges may run at once; further ones wait."""


class BackupSettings(EndpointSettings, frozen=True):
    """Another endpoint with the same model. What it does not state is the provider's own."""

    own_quota: bool = False
    """Whether its rate limits are counted apart from the provider's, so that it is asked after those as well."""


class NoOptions(Section, frozen=True):
    """The kind has no options of its own."""


class ProviderSettings(EndpointSettings, frozen=True):
    """What the providers of all kinds have in common."""

    needs_key: ClassVar[bool] = False
    """Whether nobody is answered without a key."""

    kind: Name
    """What kind of backend it is."""
    timeouts: TimeoutSettings = TimeoutSettings()
    """Its own limits in time; what is not stated is `limits.timeouts`."""
    max_retries: Annotated[int | None, Field(ge=0)] = None
    """How often it is asked again before a fallback; None is `limits.max_retries`."""
    backups: tuple[BackupSettings, ...] = ()
    """Other endpoints with the same models, which are asked before another provider is."""
    context_window: Count | None = None
    """Tokens of context to ask for, where the caller decides (Ollama, llama.cpp in the process)."""
    slots: Count | None = None
    """How many requests it works on at once, where the caller decides (llama.cpp in the process)."""
    markup: Markup | None = None
    """How its model marks reasoning inside plain text."""
    options: Section | Mapping[str, object] = NoOptions()
    """What only this kind knows."""

    def stated_options(self) -> dict[str, object]:
        """The options that have a value, as the adapter of this kind takes them."""
        options = self.options
        items = options if isinstance(options, Section) else options.items()
        return {name: value for name, value in items if value is not None}


class LlamaServerOptions(Section, frozen=True):
    """Of llama.cpp's server."""

    api_type: Literal["openai", "native"] = "openai"
    """Which of its two wire formats is spoken."""


class LlamaServerSettings(ProviderSettings, frozen=True):
    """llama.cpp's server."""

    kind: Literal["llama_server"] = "llama_server"
    """The kind of backend."""
    base_url: Url | None = "http://127.0.0.1:8080"
    """Where it is found."""
    options: LlamaServerOptions = LlamaServerOptions()
    """What only this kind knows."""


class LlamaCppOptions(Section, frozen=True):
    """Of llama.cpp in this process."""

    threads: Count | None = None
    """Of the processor; None leaves it to llama.cpp."""
    gpu_layers: int | None = None
    """How many layers of the model go to the GPU; None leaves it to llama.cpp."""
    verbose: bool = False
    """Let llama.cpp log to the standard error of the process."""


class LlamaCppSettings(ProviderSettings, frozen=True):
    """llama.cpp in this process."""

    kind: Literal["llama_cpp"] = "llama_cpp"
    """The kind of backend."""
    model_path: Path | None = None
    """The GGUF file of the model."""
    options: LlamaCppOptions = LlamaCppOptions()
    """What only this kind knows."""


class OpenAIOptions(Section, frozen=True):
    """Of OpenAI."""

    api_type: Literal["chat", "responses"] = "chat"
    """Chat completions or Responses."""


class OpenAISettings(ProviderSettings, frozen=True):
    """OpenAI."""

    needs_key = True
    kind: Literal["openai"] = "openai"
    """The kind of backend."""
    base_url: Url | None = "https://api.openai.com/v1"
    """Where it is found."""
    model: Name | None = "gpt-4.1-mini"
    """The model for calls that name none."""
    options: OpenAIOptions = OpenAIOptions()
    """What only this kind knows."""


class OpenAICompatibleSettings(ProviderSettings, frozen=True):
    """Any other server with OpenAI's chat completions."""

    kind: Literal["openai_compatible"] = "openai_compatible"
    """The kind of backend."""
    options: NoOptions = NoOptions()
    """What only this kind knows: nothing."""


class AnthropicOptions(Section, frozen=True):
    """Of Anthropic's Messages."""

    version: Literal["2026-10-21", "2023-06-01"] = "2026-10-21"
    """The version of the API; the newest takes no sampling parameters."""
    auth: Literal["x-api-key", "bearer"] = "x-api-key"
    """How the key is shown."""
    beta: tuple[Name, ...] = ()
    """Names of beta features."""
    default_max_tokens: Count | None = None
    """The longest answer for calls that set none; the wire requires a number."""


class AnthropicSettings(ProviderSettings, frozen=True):
    """Anthropic, and others that speak its Messages."""

    needs_key = True
    kind: Literal["anthropic"] = "anthropic"
    """The kind of backend."""
    base_url: Url | None = "https://api.anthropic.com"
    """Where it is found."""
    model: Name | None = "claude-sonnet-4-5"
    """The model for calls that name none."""
    options: AnthropicOptions = AnthropicOptions()
    """What only this kind knows."""


class AzureOptions(Section, frozen=True):
    """Of Azure AI Foundry and Azure OpenAI."""

    api_type: Literal["chat", "responses"] = "chat"
    """Chat completions or Responses."""
    api_version: Name | None = None
    """A dated version such as `2024-10-21`, for the older URLs; without one, `/openai/v1` is used."""


class AzureSettings(ProviderSettings, frozen=True):
    """Azure AI Foundry and Azure OpenAI."""

    needs_key = True
    kind: Literal["azure"] = "azure"
    """The kind of backend."""
    options: AzureOptions = AzureOptions()
    """What only this kind knows."""


class OpenRouterOptions(Section, frozen=True):
    """Of OpenRouter."""

    api_type: Literal["chat", "responses"] = "chat"
    """Chat completions or Responses."""
    app_url: Name | None = None
    """The page of the program, for OpenRouter's rankings."""
    app_title: Name | None = None
    """The name of the program, for OpenRouter's rankings."""
    provider: ProviderPreferences | None = None
    """Whom OpenRouter may ask."""


class OpenRouterSettings(ProviderSettings, frozen=True):
    """OpenRouter."""

    needs_key = True
    kind: Literal["openrouter"] = "openrouter"
    """The kind of backend."""
    base_url: Url | None = "https://openrouter.ai/api/v1"
    """Where it is found."""
    options: OpenRouterOptions = OpenRouterOptions()
    """What only this kind knows."""


class OllamaOptions(Section, frozen=True):
    """Of Ollama."""

    keep_alive: Annotated[float | Name | None, Field(union_mode="left_to_right")] = None
    """How long a model stays loaded after a call: seconds, or a text such as `10m`; -1 is for ever."""


class OllamaSettings(ProviderSettings, frozen=True):
    """Ollama."""

    kind: Literal["ollama"] = "ollama"
    """The kind of backend."""
    base_url: Url | None = "http://127.0.0.1:11434"
    """Where it is found."""
    options: OllamaOptions = OllamaOptions()
    """What only this kind knows."""


class LMStudioSettings(ProviderSettings, frozen=True):
    """LM Studio."""

    kind: Literal["lm_studio"] = "lm_studio"
    """The kind of backend."""
    base_url: Url | None = "http://127.0.0.1:1234"
    """Where it is found."""
    options: NoOptions = NoOptions()
    """What only this kind knows: nothing."""


class MLXSettings(ProviderSettings, frozen=True):
    """MLX's server, and other local servers that pass gpt-oss's text on as it comes."""

    kind: Literal["mlx"] = "mlx"
    """The kind of backend."""
    base_url: Url | None = "http://127.0.0.1:8080"
    """Where it is found."""
    options: NoOptions = NoOptions()
    """What only this kind knows: nothing."""


class MockSettings(ProviderSettings, frozen=True):
    """No backend at all: repeats what it is asked."""

    kind: Literal["mock"] = "mock"
    """The kind of backend."""
    model: Name | None = "mock"
    """The model for calls that name none."""
    options: NoOptions = NoOptions()
    """What only this kind knows: nothing."""


class RegisteredSettings(ProviderSettings, frozen=True):
    """A kind that a program or an installed package registered; it knows the options itself."""

    options: Mapping[str, object] = Field(default_factory=dict[str, object])
    """As the kind takes them."""


KINDS: Mapping[str, type[ProviderSettings]] = MappingProxyType(
    {
        "anthropic": AnthropicSettings,
        "azure": AzureSettings,
        "llama_cpp": LlamaCppSettings,
        "llama_server": LlamaServerSettings,
        "lm_studio": LMStudioSettings,
        "mlx": MLXSettings,
        "mock": MockSettings,
        "ollama": OllamaSettings,
        "openai": OpenAISettings,
        "openai_compatible": OpenAICompatibleSettings,
        "openrouter": OpenRouterSettings,
    }
)
"""The settings of each kind that avionics brings."""

WELL_KNOWN: Mapping[str, str] = MappingProxyType(
    {
        **{kind: kind for kind in KINDS},
        "gpt_oss": "mlx",
        "llamacpp": "llama_cpp",
        "llamaserver": "llama_server",
        "lmstudio": "lm_studio",
    }
)
"""Names of providers that tell their kind."""

_REGISTERED = "registered"

TAGS: Mapping[str, type[ProviderSettings]] = MappingProxyType({**KINDS, _REGISTERED: RegisteredSettings})
"""What pydantic calls the members of the union below, in the location of an error."""


def _tag(value: object) -> str:
    is_mapping = isinstance(value, Mapping)
    kind = cast("Mapping[str, object]", value).get("kind") if is_mapping else getattr(value, "kind", None)
    return kind if isinstance(kind, str) and kind in KINDS else _REGISTERED


AnyProviderSettings: TypeAlias = Annotated[
    Annotated[AnthropicSettings, Tag("anthropic")]
    | Annotated[AzureSettings, Tag("azure")]
    | Annotated[LlamaCppSettings, Tag("llama_cpp")]
    | Annotated[LlamaServerSettings, Tag("llama_server")]
    | Annotated[LMStudioSettings, Tag("lm_studio")]
    | Annotated[MLXSettings, Tag("mlx")]
    | Annotated[MockSettings, Tag("mock")]
    | Annotated[OllamaSettings, Tag("ollama")]
    | Annotated[OpenAISettings, Tag("openai")]
    | Annotated[OpenAICompatibleSettings, Tag("openai_compatible")]
    | Annotated[OpenRouterSettings, Tag("openrouter")]
    | Annotated[RegisteredSettings, Tag(_REGISTERED)],
    Discriminator(_tag),
]
"""The settings of a provider, of the class that its kind has."""


def with_kind(name: str, value: object) -> object:
    """An entry under a well-known name is told its kind, if it does not say one."""
    if not isinstance(value, Mapping):
        return value
    entry = cast("Mapping[str, object]", value)
    return {"kind": WELL_KNOWN[name], **entry} if name in WELL_KNOWN else entry
