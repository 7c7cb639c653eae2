"""Uploaded posters: checked, turned upright, scaled down, converted to JPEG. Pure."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageOps

from features.posters import FORMATS, pixels

MAX_SIDE = 1_000
"""Pixels of the longer side after scaling: more than any page shows."""

QUALITY = 90


def as_jpeg(image: bytes) -> bytes:
    """The picture as it is stored, shown and encoded.

    Raises: features.posters.UnreadableImage for every file that the image encoder cannot read.
    """
    pixels(image, 8)
    with Image.open(BytesIO(image), formats=FORMATS) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGBA").convert("RGB")
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    jpeg = BytesIO()
    picture.save(jpeg, "JPEG", quality=QUALITY)
    return jpeg.getvalue()
