"""Posters that strangers send: checked, turned upright, made small, kept as JPEG. Pure."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageOps

from features.posters import FORMATS, pixels

MAX_SIDE = 1_000
"""Pixels of the longer side that are kept: more than any page shows."""

QUALITY = 90


def as_jpeg(image: bytes) -> bytes:
    """The picture as it is kept, shown, and seen by the image encoder.

    Raises: features.posters.UnreadableImage for whatever the encoder could not read.
    """
    pixels(image, 8)
    with Image.open(BytesIO(image), formats=FORMATS) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGBA").convert("RGB")
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    kept = BytesIO()
    picture.save(kept, "JPEG", quality=QUALITY)
    return kept.getvalue()
