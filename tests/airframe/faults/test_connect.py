"""Connections that do not come about, or not with whom they should; and the ways they may take."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from airframe.adapters import HttpAdapter
from airframe.endpoints import EndpointSpec, Timeouts
from airframe.errors import (
    AirframeError,
    CallTimeoutError,
    ConfigurationError,
    ConnectionFailedError,
    InvalidRequestError,
    Phase,
    TLSError,
)
from airframe.testing.hostile import (
    PATIENT,
    TEXT,
    Connection,
    HostileServer,
    Outcome,
    Script,
    full_port,
    head,
    unused_port,
)
from airframe.testing.hostile.fault import raises
from airframe.testing.hostile.promises import check_error
from airframe.types import InferenceRequest

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("backend", ["openai", "openai_over_httpx", "llama_server_native"], indirect=True),
]

MakeAdapter = Callable[..., HttpAdapter]
EndpointAt = Callable[..., EndpointSpec]
SOON = replace(PATIENT, connect=0.1)


async def failure(
    adapter: HttpAdapter, endpoint: EndpointSpec, question: InferenceRequest, *, streamed: bool
) -> AirframeError:
    call = anext(adapter.stream_infer(endpoint, question)) if streamed else adapter.infer(endpoint, question)
    with pytest.raises(AirframeError) as raised:
        await call
    return raised.value


@pytest.fixture(params=[True, False], ids=["stream", "whole"])
def streamed(request: pytest.FixtureRequest) -> bool:
    """Whether a stream is asked for."""
    return bool(request.param)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """An authority that signs the tests' certificates."""
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Its own certificate, for `EndpointSpec.ca_file`."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def identity(authority: trustme.CA, name: str, folder: Path) -> tuple[str, str]:
    """A certificate for `name`, and its key, as files."""
    issued = authority.issue_cert(name)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    issued.private_key_pem.write_to_path(str(key))
    return str(certificate), str(key)


def server_tls(authority: trustme.CA, name: str, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*identity(authority, name, folder))
    return context


def occupied() -> AbstractContextManager[int]:
    if sys.platform != "linux":
        pytest.skip("queues of connections are counted differently here")
    return full_port()


@pytest.mark.parametrize(
    ("port", "timeouts", "expected"),
    [
        (lambda: nullcontext(unused_port()), PATIENT, raises(ConnectionFailedError, Phase.BEFORE_SEND)),
        (occupied, SOON, raises(CallTimeoutError, Phase.BEFORE_SEND, timeout="connect")),
    ],
    ids=["refused", "not_answered"],
)
async def test_no_connection(
    port: Callable[[], AbstractContextManager[int]],
    timeouts: Timeouts,
    expected: Outcome,
    streamed: bool,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
    secrets: tuple[str, ...],
) -> None:
    """A port that refuses, or does not answer, is an error before anything was sent, and safe to retry."""
    with port() as number:
        async with make_adapter(timeout=timeouts, max_retries=0) as adapter:
            error = await failure(adapter, endpoint_at(f"http://127.0.0.1:{number}"), question, streamed=streamed)
    check_error(error, expected, secrets)
    assert error.safe_to_retry


async def test_name_without_address(
    streamed: bool,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
    secrets: tuple[str, ...],
) -> None:
    """A name that does not resolve is a failed connection."""
    async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
        error = await failure(adapter, endpoint_at("http://nowhere.invalid"), question, streamed=streamed)
    check_error(error, raises(ConnectionFailedError, Phase.BEFORE_SEND), secrets)


async def test_impossible_name(backend: str, endpoint_at: EndpointAt) -> None:
    """A name that no resolver can be asked for is refused where it is configured."""
    with pytest.raises(ConfigurationError, match="base_url"):
        endpoint_at(f"http://{'x' * 70}.example")


async def test_certificate_that_is_trusted(
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
    by_answer: Script,
    authority: trustme.CA,
    ca_file: str,
    tmp_path: Path,
) -> None:
    """A certificate of the authority that was named, for the host that was called, is good."""
    with HostileServer(by_answer, tls=server_tls(authority, "localhost", tmp_path)) as server:
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            endpoint = endpoint_at(server.base_url, ca_file=ca_file)
            for _ in range(2):
                assert (await adapter.infer(endpoint, question)).text == TEXT
            async with adapter.stream_infer(endpoint, question) as stream:
                async for _ in stream:
                    pass
            assert stream.result.text == TEXT
        assert server.connections == 1
        await server.until(open_connections=0)


@pytest.mark.parametrize(("name", "trusted"), [("localhost", False), ("other.example", True)], ids=["unknown", "other"])
async def test_certificate_that_is_not_good(
    name: str,
    trusted: bool,
    streamed: bool,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
    secrets: tuple[str, ...],
    by_answer: Script,
    authority: trustme.CA,
    ca_file: str,
    tmp_path: Path,
) -> None:
    """A certificate of an unknown authority, or for another host, ends the call before anything is sent."""
    with HostileServer(by_answer, tls=server_tls(authority, name, tmp_path)) as server:
        async with make_adapter(timeout=PATIENT, max_retries=2) as adapter:
            endpoint = endpoint_at(server.base_url, ca_file=ca_file if trusted else None)
            error = await failure(adapter, endpoint, question, streamed=streamed)
        check_error(error, raises(TLSError, Phase.BEFORE_SEND), secrets)
        assert not error.safe_to_retry
        await server.until(failed_handshakes=1, open_connections=0)
        assert server.requests == []


async def test_encryption_to_a_plain_port(
    streamed: bool,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
    secrets: tuple[str, ...],
    by_answer: Script,
) -> None:
    """`https` to a server that does not encrypt is a TLS error."""

    def refuse(connection: Connection) -> None:
        connection.send(head(400, content_length=0))
        connection.stall()

    with HostileServer(by_answer, greet=refuse) as server:
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            url = server.base_url.replace("http:", "https:")
            error = await failure(adapter, endpoint_at(url), question, streamed=streamed)
        check_error(error, raises(TLSError, Phase.BEFORE_SEND), secrets)
        await server.until(open_connections=0)


async def test_handshake_without_end(
    streamed: bool,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
    secrets: tuple[str, ...],
    by_answer: Script,
) -> None:
    """A handshake that is never answered ends with the timeout for connecting."""
    with HostileServer(by_answer, greet=Connection.stall) as server:
        async with make_adapter(timeout=SOON, max_retries=0) as adapter:
            url = server.base_url.replace("http:", "https:")
            error = await failure(adapter, endpoint_at(url), question, streamed=streamed)
        check_error(error, raises(CallTimeoutError, Phase.BEFORE_SEND, timeout="connect"), secrets)
        await server.until(open_connections=0)


async def test_client_certificate(
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
    by_answer: Script,
    authority: trustme.CA,
    ca_file: str,
    tmp_path: Path,
) -> None:
    """A server that wants to know who calls gets the certificate; without one, the call is a TLS error."""
    tls = server_tls(authority, "localhost", tmp_path)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.maximum_version = ssl.TLSVersion.TLSv1_2  # later versions object after the handshake, when a call is under way
    tls.load_verify_locations(ca_file)
    with HostileServer(by_answer, tls=tls) as server:
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            known = endpoint_at(
                server.base_url, ca_file=ca_file, client_cert=identity(authority, "me.example", tmp_path)
            )
            assert (await adapter.infer(known, question)).text == TEXT
            stranger = endpoint_at(server.base_url, ca_file=ca_file)
            assert isinstance(await failure(adapter, stranger, question, streamed=False), TLSError)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY", "http_proxy"])
@pytest.mark.parametrize("trust_env", [True, False])
async def test_loopback_never_goes_through_a_proxy(
    variable: str,
    trust_env: bool,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
    by_answer: Script,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Proxies of the environment, even broken ones, are nothing to calls to this machine."""
    monkeypatch.setenv(variable, "socks5h://proxy.invalid:1")
    with HostileServer(by_answer) as server:
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            assert (await adapter.infer(endpoint_at(server.base_url, trust_env=trust_env), question)).text == TEXT


async def test_proxy_of_the_environment_only_when_asked(
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
    by_answer: Script,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy of the environment sees calls to other hosts with `trust_env`, and none without."""
    with HostileServer(by_answer) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.base_url)
        async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
            error = await failure(adapter, endpoint_at("http://backend.invalid"), question, streamed=False)
            assert isinstance(error, ConnectionFailedError)
            assert proxy.connections == 0
            trusting = endpoint_at("http://backend.invalid", trust_env=True)
            assert (await adapter.infer(trusting, question)).text == TEXT
            assert proxy.requests[-1].target.startswith("http://backend.invalid/")
            monkeypatch.setenv("NO_PROXY", "other.invalid")
            excepted = endpoint_at("http://other.invalid", trust_env=True)
            assert isinstance(await failure(adapter, excepted, question, streamed=False), ConnectionFailedError)
            named = endpoint_at("http://named.invalid", proxy=proxy.base_url)
            assert (await adapter.infer(named, question)).text == TEXT


async def test_proxy_that_cannot_be_used(
    make_adapter: MakeAdapter, endpoint_at: EndpointAt, question: InferenceRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy of an unknown kind is a configuration error, each time, without its password."""
    monkeypatch.setenv("HTTP_PROXY", "gopher://me:secret-word@proxy.invalid:1")
    async with make_adapter(timeout=PATIENT, max_retries=0) as adapter:
        endpoint = endpoint_at("http://backend.invalid", trust_env=True, max_connections=1)
        for _ in range(3):
            error = await failure(adapter, endpoint, question, streamed=False)
            assert isinstance(error, ConfigurationError)
            assert "secret-word" not in f"{error!r} {vars(error)}"


@pytest.mark.parametrize(("name", "value"), [("x-name", "Ж"), ("x-name", "a\nb"), ("ж", "x"), ("x name", "x")])
async def test_header_that_cannot_be_sent(
    name: str,
    value: str,
    make_adapter: MakeAdapter,
    endpoint_at: EndpointAt,
    question: InferenceRequest,
    by_answer: Script,
) -> None:
    """A header that HTTP cannot carry is the request's fault, the error names it, and nothing is sent."""
    with HostileServer(by_answer) as server:
        async with make_adapter(timeout=PATIENT, max_retries=2) as adapter:
            question = replace(question, extra_headers={name: value})
            error = await failure(adapter, endpoint_at(server.base_url), question, streamed=False)
        assert isinstance(error, InvalidRequestError)
        assert f"'{name}'" in str(error)
        assert "b'" not in str(error)
        assert error.phase is Phase.BEFORE_SEND
        assert not any("completion" in request.target for request in server.requests)
