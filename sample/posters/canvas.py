"""The canvas of a poster, and the basic shapes of all scenes.

Drawn at twice the size of the poster and halved at the end: that is the antialiasing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from random import Random

from PIL import Image, ImageDraw

from sample.posters.palettes import Color, Palette

W, H = 400, 600
"""Pixels of the sheet; y grows downwards."""

Point = tuple[float, float]


class Canvas:
    """One canvas with its palette and its random generator. `alpha` is 0 (nothing) to 1 (opaque)."""

    def __init__(self, palette: Palette, dice: Random) -> None:
        self.palette = palette
        self.dice = dice
        self.image = Image.new("RGB", (W, H), palette.low)
        self.pen = ImageDraw.Draw(self.image, "RGBA")

    def sky(self, top: Color, low: Color, horizon: float = H) -> None:
        """A gradient from the upper edge down to `horizon`, and `low` below it."""
        self.image.paste(low, (0, 0, W, H))
        height = round(horizon)
        self.image.paste(Image.new("RGB", (W, height), top), (0, 0), _falling(height))

    def shade(self, color: Color, start: float, end: float, alpha: float) -> None:
        """Let the sheet fade towards a colour, from `start` (untouched) to `end`, and all of it beyond."""
        top, height = round(min(start, end)), max(round(abs(end - start)), 1)
        mask = Image.new("L", (W, H), 0)
        ramp = _falling(height)
        if end > start:
            mask.paste(255, (0, top + height, W, H))
            ramp = ramp.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        else:
            mask.paste(255, (0, 0, W, top))
        mask.paste(ramp, (0, top))
        self.image.paste(color, (0, 0, W, H), mask.point(lambda value: round(value * alpha)))

    def raise_scene(self, by: int) -> None:
        """Move all that is drawn upwards, so that what stands on the ground clears the letters below it."""
        scene = self.image.crop((0, by, W, H))
        self.box(0, H - by, W, H, self.palette.near)
        self.image.paste(scene, (0, 0))

    def glow(self, x: float, y: float, radius: float, color: Color, alpha: float = 0.8) -> None:
        """Light that fades out in a circle."""
        size = round(radius * 2)
        mask = _round_fade().resize((size, size), Image.Resampling.BILINEAR).point(lambda value: round(value * alpha))
        self.image.paste(color, (round(x - radius), round(y - radius)), mask)

    def disc(self, x: float, y: float, radius: float, color: Color, alpha: float = 1.0) -> None:
        """A filled circle."""
        self.pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*color, round(alpha * 255)))

    def ring(self, x: float, y: float, radius: float, color: Color, width: int = 2, alpha: float = 1.0) -> None:
        """A circle's line."""
        box = (x - radius, y - radius, x + radius, y + radius)
        self.pen.ellipse(box, outline=(*color, round(alpha * 255)), width=width)

    def shape(self, points: Sequence[Point], color: Color, alpha: float = 1.0) -> None:
        """A filled polygon."""
        self.pen.polygon(list(points), fill=(*color, round(alpha * 255)))

    def box(self, left: float, top: float, right: float, bottom: float, color: Color, alpha: float = 1.0) -> None:
        """A filled rectangle."""
        self.pen.rectangle((left, top, right, bottom), fill=(*color, round(alpha * 255)))

    def line(self, points: Sequence[Point], color: Color, width: int = 2, alpha: float = 1.0) -> None:
        """A line through points."""
        self.pen.line(list(points), fill=(*color, round(alpha * 255)), width=width, joint="curve")

    def rays(self, x: float, y: float, count: int, color: Color, alpha: float, turn: float = 0.0) -> None:
        """Wedges from one point to beyond the edges, as many as gaps between them."""
        step = math.pi / count
        for index in range(count):
            angles = (turn + 2 * index * step, turn + (2 * index + 1) * step)
            self.shape([(x, y), *((x + 900 * math.cos(a), y + 900 * math.sin(a)) for a in angles)], color, alpha)

    def ridge(self, base: float, height: float, color: Color, roughness: float, step: float = 20) -> list[Point]:
        """A range of hills across the sheet, filled down to the lower edge; returns its crest.

        base: mean y; height: how far the crest strays; roughness: 0 (rolling) to 1 (jagged).
        """
        dice = self.dice
        waves = [(dice.uniform(0.4, 1.0) / n, n * dice.uniform(0.7, 1.3), dice.uniform(0, 6.3)) for n in (1, 2, 3)]
        crest = []
        for index in range(int(W / step) + 2):
            x = index * step
            rolling = sum(size * math.sin(x / W * math.tau * often + start) for size, often, start in waves)
            crest.append((x, base - height * (rolling * (1 - roughness) + dice.uniform(-1, 1) * roughness)))
        self.shape([(0, H), *crest, (crest[-1][0], H)], color)
        return crest


@lru_cache(maxsize=64)
def _falling(height: int) -> Image.Image:
    """A mask that fades from full at its top to nothing at its bottom."""
    return (
        Image.linear_gradient("L")
        .transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        .resize((W, height), Image.Resampling.BILINEAR)
    )


@lru_cache(maxsize=1)
def _round_fade() -> Image.Image:
    """A mask that fades from full in its middle to nothing at its edge."""
    return Image.radial_gradient("L").point(lambda value: max(0, 255 - round(value * 1.42)))
