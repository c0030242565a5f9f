"""Images as callers have them, as parts of a message."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import anyio

from airframe.errors import InvalidRequestError
from airframe.types import ImagePart

__all__ = ["Image", "image_part"]

Image: TypeAlias = str | bytes | Path | ImagePart
"""A URL (`https:` or `data:`), the bytes of a file, the path of one, or the part itself."""

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


async def image_part(image: Image) -> ImagePart:
    """The part of a message that holds `image`. Raises `InvalidRequestError`; a text that is no URL is not echoed."""
    match image:
        case ImagePart():
            return image
        case Path():
            return ImagePart(data=(data := await _read(image)), media_type=_media_type(data))
        case bytes():
            return ImagePart(data=image, media_type=_media_type(image))
        case str() if image.startswith(("https://", "http://", "data:image/")):
            return ImagePart(url=image)
        case str():
            raise InvalidRequestError("images: a text must be a URL; give the path of a file as a Path")
    raise InvalidRequestError(f"images: expected a URL, bytes, a Path or an ImagePart, got {type(image).__name__}")


async def _read(path: Path) -> bytes:
    try:
        return await anyio.Path(path).read_bytes()
    except OSError as error:
        raise InvalidRequestError(f"images: {path} cannot be read: {error.strerror}") from error


def _media_type(data: bytes) -> str:
    """By the first bytes, which are what decoders go by too."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    for magic, media_type in _MAGIC.items():
        if data.startswith(magic):
            return media_type
    raise InvalidRequestError(
        "images: the bytes are no PNG, JPEG, GIF or WebP; give an ImagePart with its media_type for another format"
    )
