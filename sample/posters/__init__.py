"""A poster for each film, drawn by a program, so that genre and era show in the picture.

The most telling genre decides palette and scene (`palettes`, `scenes`), the next one adds a mark (`accents`),
the year decides paper, frame and letters (`eras`), and the title seeds the random choices of everything else.
They copy no real poster, and need no font or picture file.
"""

from __future__ import annotations

import hashlib
import io
from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image, ImageChops

from features.catalog import Film
from sample.posters.accents import accent
from sample.posters.canvas import Canvas
from sample.posters.eras import era_of
from sample.posters.palettes import PALETTES
from sample.posters.scenes import SCENES

WIDTH, HEIGHT = 200, 300
"""Pixels of a poster."""

_JPEG_QUALITY = 88


def draw_poster(film: Film) -> bytes:
    """A poster of WIDTH × HEIGHT as JPEG bytes; the same film always gives the same picture."""
    dice = Random(hashlib.sha256(f"{film.title} ({film.year})".encode()).digest())
    genres = telling_genres(film)
    canvas = Canvas(dice.choice(PALETTES[genres[0]]), dice)
    dice.choice(SCENES[genres[0]])(canvas)
    for genre in genres[1:2]:
        accent(canvas, genre)
    era = era_of(film.year)
    poster = era.compose(canvas, film, dice).reduce(2)
    if era.vignette:
        poster = Image.composite(poster, Image.new("RGB", poster.size), _corners(era.vignette))
    if era.grain:
        tile = _noise(era.grain)
        x, y = dice.randrange(tile.width - WIDTH), dice.randrange(tile.height - HEIGHT)
        poster = ImageChops.add(poster, tile.crop((x, y, x + WIDTH, y + HEIGHT)), 1, -128)
    stream = io.BytesIO()
    poster.save(stream, "JPEG", quality=_JPEG_QUALITY)
    return stream.getvalue()


def telling_genres(film: Film) -> list[str]:
    """The film's genres that can be drawn, the most telling first; drama when it has none."""
    return [genre for genre in SCENES if genre in film.genres] or ["Drama"]


@lru_cache(maxsize=16)
def _corners(darkness: float) -> Image.Image:
    """A mask that is full in the middle and lets `darkness` into the corners."""
    fade = Image.radial_gradient("L").resize((WIDTH, HEIGHT))
    return fade.point(lambda value: 255 - round(darkness * max(0, value - 110) * 1.75))


@lru_cache(maxsize=16)
def _noise(strength: float) -> Image.Image:
    """Grey noise around 128, larger than a poster; always the same."""
    levels = np.random.default_rng(0).normal(128, strength, size=(HEIGHT + 120, WIDTH + 120))
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8)).convert("RGB")
