"""Secrets do not show, wherever text comes from."""

from __future__ import annotations

import base64
import html
import json
import pickle
import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airframe import Secret
from airframe.redaction import MASK, redact

KEY = 'k/1+"quoted"=\\ab'


def test_a_secret_shows_only_when_asked() -> None:
    """It prints as a mask in every way, compares by value, and is hashed like a value."""
    secret = Secret("abcd")
    assert secret.reveal() == "abcd"
    assert f"{secret} {secret!r} {secret!s} {[secret]}" == f"{MASK} {MASK} {MASK} [{MASK}]"
    assert secret == Secret("abcd") != Secret("abce")
    assert secret != "abcd"
    assert len({secret, Secret("abcd")}) == 1
    assert not hasattr(secret, "__dict__")


def test_a_secret_does_not_travel() -> None:
    """Pickling is refused with the remedy, and without the secret."""
    with pytest.raises(TypeError, match="environment variable") as caught:
        pickle.dumps(Secret("abcd"))
    assert "abcd" not in str(caught.value)


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        quote(KEY, safe=""),
        re.sub("%..", lambda escape: escape[0].lower(), quote(KEY, safe="")),
        html.escape(KEY),
        json.dumps(KEY)[1:-1],
        KEY.replace("/", "\\/"),
        base64.b64encode(KEY.encode()).decode(),
        base64.urlsafe_b64encode(KEY.encode()).decode().rstrip("="),
    ],
    ids=["plain", "percent", "lower-case percent", "html", "json", "escaped slash", "base64", "base64url"],
)
def test_a_key_is_found_in_every_form_in_which_servers_echo_it(form: str) -> None:
    """However it is quoted, nothing of it is left."""
    assert redact(f"wrong key {form}, sorry", [KEY]).replace("=", "") == f"wrong key {MASK}, sorry"


@pytest.mark.parametrize(
    "shape",
    [
        "sk-proj-abcdefgh12345678",
        "sk-ant-api03-abcdefgh",
        "sk-or-v1-abcdefgh",
        "sk-abcd****************wxyz",
        "xai-abcdefgh12345678",
        "gsk_abcdefgh12345678",
        "hf_abcdefgh12345678",
        "eyJhbGciOi12345.eyJzdWIiOiIx12345.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_key_is_masked_without_being_known(shape: str) -> None:
    """A proxy may quote somebody else's key."""
    assert redact(f"Incorrect API key provided: '{shape}'.") == f"Incorrect API key provided: '{MASK}'."


def test_authorization_headers_are_masked() -> None:
    """Whatever follows the scheme is a secret."""
    assert redact("sent Authorization: Bearer abc.def") == f"sent Authorization: Bearer {MASK}"
    assert redact("sent Authorization: Basic dXNlcjpw") == f"sent Authorization: Basic {MASK}"


def test_ordinary_words_stay() -> None:
    """Short placeholders and words that begin like keys are no secrets."""
    said = "The key-value store sk-1 is at risk; or-else a Bearer"
    assert redact(said, ["ke", "or"]) == said


@pytest.mark.parametrize("end", ["", " …", "…"])
def test_the_beginning_of_a_key_at_the_end_of_a_shortened_text_is_masked(end: str) -> None:
    """Messages are cut to a length before they are redacted; a key that was cut is one, too."""
    for length in range(4, len(KEY)):
        assert redact(f"wrong key {KEY[:length]}{end}", [KEY]) == f"wrong key {MASK}{end}"


@given(
    key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40),
    before=st.text(max_size=20),
    after=st.text(max_size=20),
)
def test_no_key_survives(key: str, before: str, after: str) -> None:
    """Whatever stands around it, the key is gone."""
    said = redact(f"{before}{key}{after}", [key])
    assert key not in said or key in MASK
