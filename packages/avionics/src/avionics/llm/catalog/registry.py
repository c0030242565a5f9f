"""The models that are known: the catalog's own, those that the settings describe, those that were found running."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from airframe.endpoints import BackendKind, EndpointSpec
from airframe.errors import ErrorCategory
from avionics.errors import ConfigurationError, ModelNotFoundError
from avionics.llm.catalog.built_in import built_in_specs, open_models
from avionics.llm.catalog.model_id import (
    DEFAULT_PORTS,
    PROVIDERS,
    LocalRuntime,
    ModelId,
    local_runtime,
    parse_model_id,
    place_of,
)
from avionics.llm.catalog.model_rules import ModelRules
from avionics.llm.catalog.model_spec import ModelSpec
from avionics.llm.construction import endpoint_of
from avionics.settings.model_specs import SpecSettings

if TYPE_CHECKING:
    from avionics.llm.catalog.discovery import FoundServer
    from avionics.settings import Settings

__all__ = ["ModelRegistry"]

_MAKERS: Mapping[str, str] = MappingProxyType(
    {
        BackendKind.ANTHROPIC: "anthropic",
        BackendKind.AZURE: "openai",
        BackendKind.OPENAI: "openai",
        BackendKind.OPENAI_RESPONSES: "openai",
    }
)
"""Whose models a kind of backend serves."""

_OWN_HOSTS = frozenset({"api.anthropic.com", "api.openai.com"})
"""Where a model that the catalog does not list is a surprise; anywhere else names are the operator's business."""

_SNAPSHOT = re.compile(r"[-@](?:\d{8}|\d{4}-\d{2}-\d{2})$")
_FINE_TUNE = re.compile(r"ft:([^:]+):.*")
_ANYWHERE = ""
_REMEMBERED = 1024
"""Models at endpoints of which is remembered what is known, also that nothing is."""


class ModelRegistry:
    """Looks up what is known of a model. Later entries win over earlier ones of the same id.

    Args:
        specs: models to know besides the catalog's own.
        built_in: whether the catalog's own rows are known too.
        providers: names that mean a provider in front of the colon of an id.
        hosts: where `discover` looks besides the usual addresses.
    """

    def __init__(
        self,
        specs: Iterable[ModelSpec] = (),
        *,
        built_in: bool = True,
        providers: Collection[str] = PROVIDERS,
        hosts: Sequence[EndpointSpec] = (),
    ) -> None:
        self.hosts = tuple(hosts)
        self._built_in = built_in
        self.providers = frozenset(providers)
        self._specs: dict[str, ModelSpec] | None = None
        self._by_name: dict[tuple[str, str], ModelSpec] = {}
        self._at_place: defaultdict[tuple[LocalRuntime, str | None, int | None], dict[str, ModelSpec]] = defaultdict(
            dict
        )
        self._added = list(specs)
        self._forget()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The catalog, what `settings.models` says, and the hosts of local servers among `settings.providers`.

        Raises `ConfigurationError` for a model that is like nobody.
        """
        hosts = [
            endpoint_of(name, described.kind, described, described.base_url)
            for name, described in settings.providers.items()
            if described.kind in DEFAULT_PORTS and described.base_url
        ]
        registry = cls(providers=PROVIDERS | settings.providers.keys(), hosts=hosts)
        for name, model in settings.models.items():
            if model.spec.model_fields_set:
                registry.add(registry.described(model.id or name, model.spec))
        return registry

    def add(self, *specs: ModelSpec) -> None:
        """Know these models too."""
        self._added += specs
        if self._specs is not None:
            self._index(specs)
        self._forget()

    def described(self, id: str, spec: SpecSettings) -> ModelSpec:
        """The model `id` as `spec` describes it, on top of what is known of it, or of the one that it is `like`."""
        parsed = parse_model_id(id, self.providers)
        known = self.find(spec.like or id)
        if spec.like and known is None:
            raise ConfigurationError(f"models: {id!r} is said to be like {spec.like!r}, {self.unknown(spec.like)}")
        if known and not spec.like and not parsed.provider and not parsed.runtime:
            parsed = ModelId(name=known.name, provider=known.provider)  # what they mean by the bare name
        identity = {
            "id": str(parsed),
            "name": parsed.name,
            "provider": parsed.runtime or parsed.provider or _ANYWHERE,
            "runtime": parsed.runtime or "api",
            "source": "settings",
        }
        known = known or ModelSpec(id=str(parsed), name=parsed.name, provider=_ANYWHERE)
        return known.with_changes(spec).model_copy(update=identity)

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self._known().values())

    def __len__(self) -> int:
        return len(self._known())

    def find(self, model: str, *, provider: str | None = None) -> ModelSpec | None:
        """What is known of a model, by its id or its name; None when nothing is.

        Snapshots (`gpt-4.1-2025-04-14`) and fine-tunes are found by the model that they are of, and dots and dashes in
        a name mean the same, as gateways write them.
        """
        known = self._known()
        if provider is None:
            if spec := known.get(model):
                return spec
            parsed = parse_model_id(model, self.providers)
            provider, model = parsed.provider or parsed.runtime, parsed.name
        scopes = [provider, _ANYWHERE] if provider else [*dict.fromkeys(spec.provider for spec in self), _ANYWHERE]
        for key in _keys(model):
            for scope in scopes:
                if spec := self._by_name.get((scope, key)):
                    return spec
        return None

    def get(self, model: str) -> ModelSpec:
        """The same; raises `ModelNotFoundError` with the nearest ids when nothing is known."""
        if spec := self.find(model):
            return spec
        raise ModelNotFoundError(f"{model!r}: {self.unknown(model)}", model=model, category=ErrorCategory.NOT_FOUND)

    def at(self, endpoint: EndpointSpec, model: str | None, *, provider: str | None = None) -> ModelSpec | None:
        """What is known of the model that `endpoint` is asked for; `provider` is what the settings call it."""
        rules = self.rules_at(endpoint, model, provider=provider)
        return rules.spec if rules else None

    def rules_at(self, endpoint: EndpointSpec, model: str | None, *, provider: str | None = None) -> ModelRules | None:
        """The same, with its rules for that kind of backend."""
        return self._rules_at(str(endpoint.backend_kind), endpoint.base_url, model, provider)

    def expects(self, endpoint: EndpointSpec) -> str | None:
        """The provider whose catalog lists all that `endpoint` offers; None where it may offer anything."""
        own = urlsplit(endpoint.base_url).hostname in _OWN_HOSTS
        return _MAKERS.get(str(endpoint.backend_kind)) if own else None

    def nearest(self, model: str, *, count: int = 3) -> tuple[str, ...]:
        """Ids that look most like `model`."""
        return self._nearest(model, count)

    def unknown(self, model: str) -> str:
        """That a model is not known, with the nearest that are, as the end of a sentence."""
        near = ", ".join(self.nearest(model))
        return f"which the catalog does not list{near and f'; nearest are {near}'}"

    async def discover(
        self, hosts: Sequence[str | EndpointSpec] = (), *, usual: Sequence[str] | None = None, patience: float = 1.0
    ) -> Sequence[FoundServer]:
        """Look for local servers, and know their models from now on.

        Args:
            hosts: where to look besides the registry's own `hosts`: URLs, or endpoints where a key is needed.
            usual: where to look in any case; None is where such servers usually listen on this machine.
            patience: seconds after which a silent server counts as none.
        """
        from avionics.llm.catalog.discovery import DEFAULT_ADDRESSES, discover

        servers = await discover(
            [*self.hosts, *hosts], usual=DEFAULT_ADDRESSES if usual is None else usual, patience=patience
        )
        self.add(*(model for server in servers for model in server.models))
        return servers

    def _forget(self) -> None:
        """What was found may be otherwise now. Calls ask for the same few models again and again."""
        self._rules_at = lru_cache(_REMEMBERED)(self._find_rules)
        self._nearest = lru_cache(_REMEMBERED)(self._find_nearest)

    def _find_rules(self, kind: str, base_url: str, model: str | None, provider: str | None) -> ModelRules | None:
        spec = self._find_at(kind, base_url, model, provider)
        return ModelRules.of(spec, kind) if spec else None

    def _find_at(self, kind: str, base_url: str, model: str | None, provider: str | None) -> ModelSpec | None:
        runtime = local_runtime(kind)
        if runtime and (spec := self._running(runtime, base_url, model)):
            return spec
        if model is None:
            return None
        if kind == BackendKind.OPENROUTER and "/" in model:
            maker, _, model = model.partition("/")
            return self.find(model.partition(":")[0], provider=maker.lstrip("~"))
        for scope in dict.fromkeys((provider, kind, _MAKERS.get(kind))):
            if scope and (spec := self.find(model, provider=scope)):
                return spec
        return None

    def _find_nearest(self, model: str, count: int) -> tuple[str, ...]:
        by_name = {spec.name: spec.id for spec in self}
        name = parse_model_id(model, self.providers).name if model.strip() else model
        return tuple(by_name[match] for match in difflib.get_close_matches(name, by_name, n=count))

    def _running(self, runtime: LocalRuntime, base_url: str, model: str | None) -> ModelSpec | None:
        """The model of that name at that address."""
        self._known()
        if not self._at_place:
            return None
        here = self._at_place.get((runtime, *place_of(base_url)), {})
        if runtime == "llama_server" and len(here) == 1:
            return next(iter(here.values()))  # it answers to any name
        return here.get(model or "") or here.get(f"{model}:latest")  # Ollama's tag for names without one

    def _known(self) -> dict[str, ModelSpec]:
        if self._specs is None:
            self._specs = {}
            if self._built_in:
                self._index(built_in_specs())
                self._by_name |= {(_ANYWHERE, key): spec for spec in open_models() for key in _keys(spec.name)}
            self._index(self._added)
        return self._specs

    def _index(self, specs: Iterable[ModelSpec]) -> None:
        known = self._known()
        for spec in specs:
            known[spec.id] = spec
            id = parse_model_id(spec.id, self.providers)
            if id.runtime and id.base_url and id.host:  # what runs at one address is nobody elsewhere
                self._at_place[id.runtime, *place_of(id.base_url)][spec.name] = spec
            else:
                self._by_name[spec.provider, next(_keys(spec.name))] = spec


def _keys(name: str) -> Iterator[str]:
    """Under which a model is looked for: its name, then that of the model whose snapshot or fine-tune it is."""
    name = name.lower()
    if fine_tune := _FINE_TUNE.fullmatch(name):
        name = fine_tune[1]
    yield _spelled(name)
    if (whole := _SNAPSHOT.sub("", name)) != name:
        yield _spelled(whole)


def _spelled(name: str) -> str:
    return re.sub(r"[.:]", "-", name.rpartition("/")[2])
