"""No secret gets into a cassette: it is masked where that is certain, and the recording is refused where it is not."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airframe import EndpointSpec, OpenAICompatibleAdapter
from airframe.testing import Cassette
from airframe.testing.cassette import CassetteError, UnmatchedRequestError
from airframe.testing.cassette.credentials import find_credential
from airframe.testing.mutators import split_every
from airframe.testing.playback import PlaybackTransport
from airframe.testing.reply import Breakdown, Reply
from airframe.transport import HttpRequest
from airframe.types import InferenceRequest, Message

pytestmark = pytest.mark.anyio

KEY = "Made+up/Key=0123&4567"
ENDPOINT = EndpointSpec(base_url="http://127.0.0.1/v1", api_key=KEY, model="small", headers={"x-team": "secret-team-7"})


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


async def recorded(
    path: Path, reply: Reply | Breakdown, *, body: str = "{}", url: str = "/v1/x", endpoint: EndpointSpec = ENDPOINT
) -> str:
    """The text of a cassette with one exchange."""
    request = HttpRequest(
        method="POST",
        url=f"http://127.0.0.1{url}",
        headers={"authorization": f"Bearer {endpoint.key}", **endpoint.headers},
        body=body.encode(),
    )
    async with Cassette.record(path, inner=PlaybackTransport(lambda endpoint, request: reply)) as cassette:
        if isinstance(reply, Breakdown):
            with pytest.raises(type(reply.to_error())):
                await cassette.transport.send(endpoint, request, connect_timeout=None, header_bytes=1000)
        else:
            response = await cassette.transport.send(endpoint, request, connect_timeout=None, header_bytes=1000)
            while await response.read(1 << 20):
                pass
    return text_of(path)


FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in capitals": str.upper,
    "for a URL": lambda key: quote(key, safe=""),
    "for a URL in small letters": lambda key: quote(key, safe="").lower(),
    "for JSON": lambda key: key.replace("/", "\\/"),
    "for HTML": html.escape,
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64 behind a user name": lambda key: base64.b64encode(f"user:{key}".encode()).decode(),
    "base64 between others": lambda key: base64.b64encode(f"a:{key}:b".encode()).decode(),
    "base64 for URLs": lambda key: base64.urlsafe_b64encode(key.encode()).decode().rstrip("="),
    "hex": lambda key: key.encode().hex(),
}


@pytest.mark.parametrize("form", FORMS)
async def test_the_key_is_masked_in_every_form(tmp_path: Path, form: str) -> None:
    """A server that echoes the key in its body, its headers or its error leaves no trace of it in the file."""
    echo = FORMS[form](KEY)
    reply = Reply.of(f'{{"error": "wrong key: {echo}!"}}'.encode(), status=401, x_request_id=f"req {echo}")
    text = await recorded(tmp_path / "a.cassette", reply, body=f'{{"prompt": "my key is {echo}"}}', url=f"/v1/{echo}")
    assert echo not in text
    assert KEY not in text
    assert text.count("[redacted]") >= 4
    down = Breakdown("ConnectionFailedError", f"refused: {echo}")
    assert echo not in await recorded(tmp_path / "b.cassette", down)


async def test_the_key_is_masked_wherever_it_is_cut(tmp_path: Path) -> None:
    """A key that arrives in pieces is masked in the first, and the pieces keep their number."""
    (reply,) = split_every(bytes=5)(Reply.of(f'{{"error": "wrong key: {KEY}, {KEY}"}}'.encode()))
    text = await recorded(tmp_path / "a.cassette", reply)
    with Cassette.replay(tmp_path / "a.cassette") as cassette:
        (exchange,) = cassette.unplayed
        assert isinstance(exchange.reply, Reply)
        assert exchange.reply.body == b'{"error": "wrong key: [redacted], [redacted]"}'
        assert len(exchange.reply.chunks) == len(reply.chunks)
        cassette._unplayed.clear()
    assert not any(KEY[start : start + 6] in text for start in range(len(KEY) - 5))


@given(key=st.text("abcXYZ019+/=-_.%&", min_size=8, max_size=40), cuts=st.integers(1, 30), around=st.text(max_size=12))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_key_survives(tmp_path: Path, key: str, cuts: int, around: str) -> None:
    """Whatever the key, and however it is echoed and cut: the file does not hold it, or is not written."""
    path = tmp_path / "any.cassette"
    path.unlink(missing_ok=True)
    endpoint = EndpointSpec(base_url="http://127.0.0.1/v1", api_key=key)
    for form in FORMS.values():
        body = json.dumps({"error": around + form(key) + around})
        (reply,) = split_every(bytes=cuts)(Reply.of(body.encode()))
        try:
            text = await recorded(path, reply, endpoint=endpoint)
        except CassetteError:
            assert not path.exists()
            continue
        with Cassette.replay(path) as cassette:
            (exchange,) = cassette.unplayed
            cassette._unplayed.clear()
        assert isinstance(exchange.reply, Reply)
        assert key not in exchange.reply.body.decode()
        assert key not in text
        path.unlink()


SHAPES = [
    "sk-proj-abcDEF0123456789abcd",
    "sk-ant-api03-abcdefgh12345678",
    "sk-or-v1-0123456789abcdef0123",
    "sk-proj-****************wxyz",
    "gsk_abcdefgh0123456789",
    "hf_abcdefghIJKLMNOP0123",
    "ghp_abcdefgh0123456789ABCDEFGH",
    "xoxb-0123456789-abcdef",
    "AKIA0123456789ABCDEF",
    "AIza0123456789abcdefghijklmnopqrstuvwxy",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "Bearer abcdefgh0123",
    "-----BEGIN RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("shape", SHAPES)
async def test_strangers_keys_are_masked_by_their_shape(tmp_path: Path, shape: str) -> None:
    """A key that nobody told us of does not get into the file either, and is found in a file that has it."""
    text = await recorded(tmp_path / "a.cassette", Reply.of(json.dumps({"text": f"use {shape} "}).encode()))
    assert shape not in text
    assert "use [redacted]" in text
    assert find_credential(f"x {shape} y") is not None
    assert shape not in (find_credential(shape) or "")


@pytest.mark.parametrize(
    "text",
    [
        "sk-learn-and-other-libraries-are-useful",
        "or-something-like-that-in-words",
        "a key-value-store-for-everything",
        "Bearer authentication is required",
        'api_key="YOUR_API_KEY"',
        '{"password": {"type": "string", "minLength": 12}}',
        "chatcmpl-AbCdEf0123456789AbCdEf0123",
        "call_0123456789abcdef",
        "eyJ is how tokens begin",
        "task-0123456789-abcdefghijkl",
    ],
)
async def test_ordinary_words_stay(tmp_path: Path, text: str) -> None:
    """What only resembles a key is recorded as it is: a mask would change what the model said."""
    assert find_credential(text) is None
    assert json.dumps(text) in await recorded(tmp_path / "a.cassette", Reply.of(json.dumps({"text": text}).encode()))


def spread(*pieces: str) -> Reply:
    frames = [f'data: {{"choices": [{{"delta": {{"content": {json.dumps(piece)}}}}}]}}\n\n' for piece in pieces]
    return Reply.of("".join(frames).encode(), content_type="text/event-stream")


@pytest.mark.parametrize(
    ("reply", "body", "said"),
    [
        (spread("Made+up/", "Key=0123", "&4567"), "{}", "spread over several of its events"),
        (spread("sk-proj-", "abcDEF01", "23456789abcd"), "{}", "spread over several of its events"),
        (Reply.of(KEY[:14].encode()), "{}", "in a disguise, or a part of it"),
        (Reply.of(KEY[::-1].encode()), "{}", "in a disguise, or a part of it"),
        (Reply.of(" ".join(KEY).encode()), "{}", "in a disguise, or a part of it"),
        (Reply.of("".join(f"\\u{ord(c):04x}" for c in KEY).encode()), "{}", "in a disguise, or a part of it"),
        (Reply.of(quote(quote(KEY, safe=""), safe="").encode()), "{}", "in a disguise, or a part of it"),
        (Reply.of(b"{}"), '{"db": {"password": "hunter2hunter2"}}', "the request's body: it holds a value named"),
    ],
)
async def test_what_cannot_be_masked_with_certainty_is_refused(
    tmp_path: Path, reply: Reply, body: str, said: str
) -> None:
    """The error says where and why, without the secret, and there is no file."""
    path = tmp_path / "a.cassette"
    with pytest.raises(
        CassetteError, match=r"it is not certain that this holds no secret.*Ask something else"
    ) as caught:
        await recorded(path, reply, body=body)
    assert said in str(caught.value)
    assert KEY not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert not path.exists()


async def test_a_key_that_may_be_a_word_is_refused_only_where_it_appears(tmp_path: Path) -> None:
    """Masking a short key would mask words; it is no trouble as long as nothing but its header has it."""
    endpoint = EndpointSpec(base_url="http://127.0.0.1/v1", api_key="none")
    text = await recorded(tmp_path / "a.cassette", Reply.of(b'{"a": "nonesuch"}'), endpoint=endpoint)
    assert "authorization: [redacted]" in text
    with pytest.raises(CassetteError, match="so short that it may be a word"):
        await recorded(tmp_path / "b.cassette", Reply.of(b'{"a": "none"}'), endpoint=endpoint)


async def test_headers_and_parameters_are_masked_unless_known(tmp_path: Path) -> None:
    """Names are kept and values are not, but for those that airframe reads; what is only noise is left out."""
    reply = Reply.of(
        b'{"team": "secret-team-7"}',
        set_cookie="a=b",
        x_own="value",
        retry_after="3",
        x_ratelimit_limit_tokens="9",
        date="today",
    )
    text = await recorded(tmp_path / "a.cassette", reply, url="/v1/x?api-version=2024-10-21&sig=abc&key=def")
    assert "request POST http://127.0.0.1/v1/x?api-version=2024-10-21&sig=[redacted]&key=[redacted]\n" in text
    assert "  set-cookie: [redacted]\n" in text
    assert "  x-own: [redacted]\n" in text
    assert "  x-team: [redacted]\n" in text
    assert "  retry-after: 3\n" in text
    assert "  x-ratelimit-limit-tokens: 9\n" in text
    assert "date:" not in text
    assert "secret-team-7" not in text


async def test_further_headers_may_be_kept_but_no_key(tmp_path: Path) -> None:
    """`keep_headers` shows what its owner knows to be harmless; headers that carry keys stay masked."""
    path = tmp_path / "a.cassette"
    inner = PlaybackTransport(lambda endpoint, request: Reply.of(b"{}", x_own="harmless"))
    async with Cassette.record(path, inner=inner, keep_headers=["X-Own", "authorization"]) as cassette:
        request = HttpRequest(method="GET", url="http://127.0.0.1/", headers={"authorization": f"Bearer {KEY}"})
        await cassette.transport.send(ENDPOINT, request, connect_timeout=None, header_bytes=1000)
    assert "  x-own: harmless\n" in text_of(path)
    assert "  authorization: [redacted]\n" in text_of(path)


async def test_a_key_of_one_call_is_masked_in_another(tmp_path: Path) -> None:
    """A cassette with two endpoints keeps the secrets of both out of all its exchanges."""
    path = tmp_path / "a.cassette"
    inner = PlaybackTransport(lambda endpoint, request: Reply.of(f'{{"seen": "{KEY}"}}'.encode()))
    other = EndpointSpec(base_url="http://127.0.0.2/v1", api_key="another-made-up-key")
    async with Cassette.record(path, inner=inner) as cassette:
        for endpoint in (other, ENDPOINT):
            request = HttpRequest(method="GET", url=endpoint.base_url, headers={})
            response = await cassette.transport.send(endpoint, request, connect_timeout=None, header_bytes=1000)
            await response.read(1 << 20)
    assert text_of(path).count('{"seen": "[redacted]"}') == 2


async def test_a_mismatch_shows_no_key(tmp_path: Path) -> None:
    """The diff of an unmatched request is masked as the file is, and a doubtful request is refused."""
    path = tmp_path / "a.cassette"
    await recorded(path, Reply.of(b"{}"))
    for prompt, said in ((f"my key: {KEY}", r"\[redacted\]"), (f"my key: {KEY[:14]}", "cannot have this request")):
        adapter = OpenAICompatibleAdapter(transport=Cassette.replay(path).transport)
        with pytest.raises(UnmatchedRequestError, match=said) as caught:
            await adapter.infer(ENDPOINT, InferenceRequest(messages=[Message("user", prompt)]))
        assert KEY[:14] not in str(caught.value)
