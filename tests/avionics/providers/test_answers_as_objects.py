"""An answer as an object, questions with images: what providers do beyond text."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from airframe.errors import ErrorCategory
from airframe.testing import Answer, Failure
from airframe.types import FinishReason, ImagePart, JSONSchemaFormat, Message, TextPart, Usage
from avionics.errors import LLMInvalidRequestError, LLMServerError, OutputValidationError
from avionics.llm import MockProvider

pytestmark = pytest.mark.anyio

QUESTION = [Message("user", "Where?")]


class Place(BaseModel):
    """A place."""

    city: str
    people: int = Field(ge=0)


GOOD = '{"city": "Oslo", "people": 700000}'
BAD = '{"city": "Oslo", "people": -1, "mood": "sk-secret-0123456789"}'
USAGE = Usage(input_tokens=10, output_tokens=5)


class TestOutputTypes:
    """`output_type` asks for a document, and checks it."""

    @pytest.mark.parametrize("text", [GOOD, f"```json\n{GOOD}\n```", f"\n```\n{GOOD}```\n"])
    async def test_the_answer_is_parsed(self, text: str) -> None:
        """It is asked for by schema; a fence around it does no harm."""
        provider = MockProvider([Answer(text=text)])
        answer = await provider.complete(QUESTION, output_type=Place)
        assert answer.parsed == Place(city="Oslo", people=700000)
        ((_, request),) = provider.script.calls
        assert isinstance(request.response_format, JSONSchemaFormat)
        assert request.response_format.name == "Place"
        assert request.response_format.schema["required"] == ["city", "people"]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            (BAD, "people: Input should be greater than or equal to 0"),
            ("Oslo.", "the answer: Invalid JSON"),
            ('{"city": "Os', "the answer: Invalid JSON"),
        ],
    )
    async def test_an_answer_that_does_not_fit_is_an_error(self, text: str, said: str) -> None:
        """It says what is wrong, keeps the answer, and is not asked again unless that is wanted."""
        provider = MockProvider([Answer(text=text, finish_reason=FinishReason.LENGTH)])
        with pytest.raises(OutputValidationError) as caught:
            await provider.complete(QUESTION, output_type=Place)
        assert str(caught.value).startswith("the answer is no Place (it finished with length): ")
        assert said in str(caught.value)
        assert "secret" not in str(caught.value)
        assert (caught.value.partial_text, caught.value.provider) == (text, "mock")
        assert len(provider.script.calls) == 1

    async def test_an_answer_is_repaired_once(self) -> None:
        """The model is told what was wrong, and both answers are counted and paid for."""
        provider = MockProvider(
            [
                Answer(text=BAD, usage=USAGE, reported_cost=Decimal("0.25")),
                Answer(text=GOOD, usage=USAGE, reported_cost=Decimal("0.5")),
            ]
        )
        answer = await provider.complete(QUESTION, output_type=Place, repair=True)
        assert answer.parsed.city == "Oslo"
        assert (answer.tokens_used, answer.cost) == (30, Decimal("0.75"))
        first, second = (request.messages for _, request in provider.script.calls)
        assert [message.role for message in second] == ["user", "assistant", "user"]
        assert list(second[:1]) == list(first)
        assert "people: Input should be greater" in second[-1].text

    async def test_a_second_answer_that_does_not_fit_is_the_end(self) -> None:
        """Nobody is asked without end."""
        provider = MockProvider([Answer(text=BAD)] * 3)
        with pytest.raises(OutputValidationError):
            await provider.complete(QUESTION, output_type=Place, repair=True)
        assert len(provider.script.calls) == 2

    async def test_an_error_while_repairing_is_that_error(self) -> None:
        """It is not hidden behind the first answer."""
        provider = MockProvider([Answer(text=BAD), Failure(ErrorCategory.SERVER)])
        with pytest.raises(LLMServerError):
            await provider.complete(QUESTION, output_type=Place, repair=True)


PNG = b"\x89PNG\r\n\x1a\n" + bytes(8)


class TestImages:
    """`complete_with_vision` takes images as callers have them."""

    async def test_every_form_of_an_image(self, tmp_path: Path) -> None:
        """URLs, bytes, paths and parts, in order and before the question."""
        file = tmp_path / "photo"
        file.write_bytes(b"\xff\xd8\xff\xe0rest")
        part = ImagePart(data=b"II*\0", media_type="image/tiff")
        provider = MockProvider([Answer(text="A cat.")])
        answer = await provider.complete_with_vision(
            "What is it?", ["https://a.example/cat.png", PNG, file, part, b"RIFF0000WEBPVP8 "], max_tokens=9
        )
        assert answer.content == "A cat."
        ((_, request),) = provider.script.calls
        (message,) = request.messages
        assert message.content == [
            ImagePart(url="https://a.example/cat.png"),
            ImagePart(data=PNG, media_type="image/png"),
            ImagePart(data=b"\xff\xd8\xff\xe0rest", media_type="image/jpeg"),
            part,
            ImagePart(data=b"RIFF0000WEBPVP8 ", media_type="image/webp"),
            TextPart("What is it?"),
        ]
        assert request.max_tokens == 9

    @pytest.mark.parametrize(
        ("image", "said"),
        [
            (b"no image", "images: the bytes are no PNG, JPEG, GIF or WebP; give an ImagePart"),
            ("cat.png", "images: a text must be a URL; give the path of a file as a Path"),
            (Path("no/such/file.png"), "images: no/such/file.png cannot be read: No such file or directory"),
        ],
    )
    async def test_what_is_no_image_is_named(self, image: bytes | str | Path, said: str) -> None:
        """Nothing is sent."""
        provider = MockProvider()
        with pytest.raises(LLMInvalidRequestError, match=said):
            await provider.complete_with_vision("What is it?", [image])
        assert provider.script.calls == []
