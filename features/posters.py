"""Decodes a poster to pixels, identically in training, export and serving.

Stands alone (NumPy and Pillow): export places a copy of this file beside the image decoder of the model repository,
where nothing else of ours can be imported. Images are untrusted input: everything is checked before it is decoded.
"""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
"""Accepted formats. Pillow knows more, among them formats that start other programs (EPS)."""

MAX_PIXELS = 32_000_000
"""Largest image decoded, in pixels: 96 MB as RGB. A scanned poster at 300 dpi has 25 million."""

MAX_ASPECT_RATIO = 10.0
"""Longer over shorter side. A 1 x 100,000 image is small, but not once its shorter side is enlarged."""

RESIZE_RATIO = 256 / 224
"""Shorter side after resizing over the size cut out. Source: torchvision's ImageNet evaluation transform."""

IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], dtype=np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], dtype=np.float32)
"""Per channel, of values in 0..1. Source: torchvision's ImageNet evaluation transform."""


class UnreadableImage(ValueError):
    """The bytes are not an image that the encoder can read."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"not a readable image ({', '.join(FORMATS)}): {reason}")


class ImageTooLarge(UnreadableImage):
    def __init__(self, width: int, height: int) -> None:
        ValueError.__init__(self, f"image of {width} x {height} pixels; at most {MAX_PIXELS} in all are decoded")


class ImageTooNarrow(UnreadableImage):
    def __init__(self, width: int, height: int) -> None:
        ValueError.__init__(
            self, f"image of {width} x {height} pixels; one side may be {MAX_ASPECT_RATIO:g} x the other"
        )


def pixels(image: bytes, size: int) -> npt.NDArray[np.float32]:
    """An encoded image as (3, size, size) normalised pixels, RGB.

    Turned upright by its EXIF orientation, shorter side resized to size * RESIZE_RATIO (bilinear, antialiased), centre
    cut out, scaled to 0..1 and normalised by ImageNet's mean and deviation: torchvision's evaluation transform.
    Only the first picture of an animation is read; transparency is dropped.

    Raises: UnreadableImage, and its kinds ImageTooLarge and ImageTooNarrow.
    """
    cut = _centre(_decode(image), size)
    scaled = np.asarray(cut, dtype=np.float32) / 255
    return np.ascontiguousarray(((scaled - IMAGENET_MEAN) / IMAGENET_STD).transpose(2, 0, 1))


def _decode(image: bytes) -> Image.Image:
    try:
        with Image.open(BytesIO(image), formats=FORMATS) as opened:
            width, height = opened.size
            if width * height > MAX_PIXELS:
                raise ImageTooLarge(width, height)
            if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
                raise ImageTooNarrow(width, height)
            return _as_rgb(ImageOps.exif_transpose(opened))
    except UnreadableImage:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImage(error) from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, struct.error) as error:
        # what Pillow's readers raise on damaged files
        raise UnreadableImage(error) from error


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow would cut at 255 instead of scaling
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65_535) >> 8).astype(np.uint8))
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow warns about, and may misread, the direct way
    return image.convert("RGB")


def _centre(image: Image.Image, size: int) -> Image.Image:
    width, height = image.size
    shorter = round(size * RESIZE_RATIO)
    if width <= height:
        resized = image.resize((shorter, max(shorter, shorter * height // width)), Image.Resampling.BILINEAR)
    else:
        resized = image.resize((max(shorter, shorter * width // height), shorter), Image.Resampling.BILINEAR)
    left, top = round((resized.width - size) / 2), round((resized.height - size) / 2)
    return resized.crop((left, top, left + size, top + size))
