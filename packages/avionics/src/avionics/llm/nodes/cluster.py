"""One ConfigMap of a Kubernetes cluster, read and followed through the API with the project's own client.

The client is synchronous. `follow` runs in a thread and is stopped from another one, so any event loop may wait for it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from avionics.errors import ConfigurationError, MissingPackageError

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

__all__ = ["ConfigMap", "ConfigMapContent", "check_installed", "connected", "own_namespace"]

_CONNECT_SECONDS, _ANSWER_SECONDS = 5.0, 15.0
_FOLLOW_SECONDS = 300
"""How long the server is asked to keep on telling; then it is asked anew."""

_NAMESPACE_OF_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class ConfigMapContent:
    """What stands under its keys, and the version, which means something to the API alone."""

    data: Mapping[str, str]
    version: str


def check_installed() -> None:
    """Raises `MissingPackageError` where the client of Kubernetes is not installed."""
    if find_spec("kubernetes") is None:
        raise MissingPackageError(
            "nodes.config_map needs the client of Kubernetes: pip install 'jeeves-avionics[kubernetes]'"
        )


def connected(kubeconfig: Path | None = None, context: str | None = None) -> ApiClient:
    """A client of the cluster: as a pod with its own account, else as the file says.

    Raises `ConfigurationError`.
    """
    from kubernetes import client, config

    configuration = client.Configuration()
    try:
        if kubeconfig is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=configuration)
        else:
            file = str(kubeconfig) if kubeconfig else None
            config.load_kube_config(config_file=file, context=context, client_configuration=configuration)
    except config.ConfigException as error:
        raise ConfigurationError(f"nodes.config_map: how the cluster is reached is not known: {error}") from error
    return client.ApiClient(configuration)


def own_namespace() -> str:
    """The namespace of the pod that this runs in; outside of a cluster `default`."""
    try:
        return _NAMESPACE_OF_POD.read_text(encoding="utf-8").strip() or "default"
    except OSError:
        return "default"


class ConfigMap:
    """One ConfigMap. Its methods wait; they raise `ConfigurationError` for whatever the API says against it."""

    def __init__(self, client: ApiClient, name: str, namespace: str) -> None:
        from kubernetes.client import CoreV1Api

        self._api = CoreV1Api(client)
        self._name = name
        self._namespace = namespace
        self._lock = threading.Lock()
        self._stopped = False
        self._open: Any = None  # a response of urllib3, of whichever version the client has

    def read(self) -> ConfigMapContent:
        """What it holds now."""
        response = self._asked(
            self._api.read_namespaced_config_map,
            name=self._name,
            _request_timeout=(_CONNECT_SECONDS, _ANSWER_SECONDS),
        )
        try:
            return _content(json.loads(response.data))
        except ValueError:
            raise ConfigurationError(f"the API answered no JSON for ConfigMap {self._name}") from None

    def follow(self, version: str) -> Iterator[ConfigMapContent]:
        """What it holds after each change since `version`, until `stop`, or until the API has told enough.

        Raises `ConfigurationError`, also when it is deleted.
        """
        response = self._asked(
            self._api.list_namespaced_config_map,
            field_selector=f"metadata.name={self._name}",
            resource_version=version,
            watch=True,
            timeout_seconds=_FOLLOW_SECONDS,
            _request_timeout=(_CONNECT_SECONDS, _FOLLOW_SECONDS + _ANSWER_SECONDS),
        )
        with self._lock:
            self._open = response
            stopped = self._stopped
        try:
            for line in () if stopped else _lines(response):
                if (content := self._changed(line)) is None:
                    return
                yield content
        finally:
            with self._lock:
                self._open = None
            response.close()

    def stop(self) -> None:
        """End `follow`, from another thread; for good."""
        with self._lock:
            self._stopped = True
            if self._open is not None:
                with suppress(RuntimeError, ValueError):  # it has just come to its end
                    self._open.shutdown()

    def _asked(self, ask: Any, **arguments: object) -> Any:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            response = ask(namespace=self._namespace, _preload_content=False, **arguments)
        except ApiException as error:
            raise ConfigurationError(self._refusal(error.status)) from None
        except HTTPError as error:
            raise ConfigurationError(f"the API of the cluster is not reached: {type(error).__name__}") from None
        if response.status != HTTPStatus.OK:
            response.close()
            raise ConfigurationError(self._refusal(response.status))
        return response

    def _refusal(self, status: int | None) -> str:
        what = f"ConfigMap {self._name} in namespace {self._namespace}"
        match status:
            case 401 | 403:
                return f"{what}: the account may not get and watch it (status {status}); give it a role that may"
            case 404:
                return f"{what}: there is none; check nodes.config_map"
            case _:
                return f"{what}: the API answered status {status}"

    def _changed(self, line: bytes) -> ConfigMapContent | None:
        """What it holds after an event; None when the API does not remember the version: it has to be read anew."""
        try:
            event = json.loads(line)
            kind, document = event["type"], event["object"]
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(f"the API told no event of ConfigMap {self._name}") from None
        match kind, document:
            case "ERROR", {"code": HTTPStatus.GONE}:
                return None
            case "ERROR", _:
                raise ConfigurationError(f"the API ended the watch of ConfigMap {self._name}")
            case "DELETED", _:
                raise ConfigurationError(f"ConfigMap {self._name} was deleted")
            case _:
                return _content(document)


def _lines(response: Any) -> Iterator[bytes]:
    """The lines of an answer, as they come."""
    from urllib3.exceptions import HTTPError

    rest = b""
    try:
        for piece in response.stream(amt=None, decode_content=True):
            *lines, rest = (rest + cast("bytes", piece)).split(b"\n")
            yield from filter(None, lines)
    except (HTTPError, OSError, ValueError):
        return  # it broke off, or was stopped: whoever is not stopped reads anew


def _content(document: object) -> ConfigMapContent:
    match document:
        case {"metadata": {"resourceVersion": str(version)}}:
            raw: object = cast("Mapping[str, object]", document).get("data")
        case _:
            raise ConfigurationError("the API answered something that is no ConfigMap")
    data = cast("Mapping[object, object]", raw if isinstance(raw, dict) else {})
    return ConfigMapContent({str(key): str(value) for key, value in data.items()}, version)
