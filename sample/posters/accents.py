"""A film's second genre, as a small mark laid over the scene of its first."""

from __future__ import annotations

import math
from collections.abc import Callable

from sample.posters.canvas import Canvas, W
from sample.posters.palettes import PALETTES


def accent(canvas: Canvas, genre: str) -> None:
    """Draw the mark of a genre; genres without one leave the sheet as it is."""
    if genre in _ACCENTS:
        _ACCENTS[genre](canvas)


def _shooting_stars(canvas: Canvas) -> None:
    for _ in range(3):
        x, y, size = canvas.dice.uniform(60, 380), canvas.dice.uniform(40, 220), canvas.dice.uniform(40, 90)
        canvas.line([(x, y), (x - size, y + size * 0.45)], (255, 255, 255), 2, 0.7)
        canvas.disc(x, y, 3.5, (255, 255, 255))


def _hearts(canvas: Canvas) -> None:
    color = PALETTES["Romance"][0].mid
    for _ in range(4):
        x, y, size = canvas.dice.uniform(40, 360), canvas.dice.uniform(50, 330), canvas.dice.uniform(9, 17)
        for side in (-1, 1):
            canvas.disc(x + side * size * 0.48, y, size * 0.56, color)
        canvas.shape(
            [(x - size * 0.98, y + size * 0.24), (x + size * 0.98, y + size * 0.24), (x, y + size * 1.5)], color
        )


def _bats(canvas: Canvas) -> None:
    for _ in range(6):
        x, y, size = canvas.dice.uniform(40, 360), canvas.dice.uniform(50, 260), canvas.dice.uniform(9, 20)
        wings = [(-1, -0.35), (-0.45, -0.1), (-0.15, -0.35), (0, -0.12), (0.15, -0.35), (0.45, -0.1), (1, -0.35),
                 (0.62, 0.3), (0.3, 0.1), (0, 0.42), (-0.3, 0.1), (-0.62, 0.3)]  # fmt: skip
        canvas.shape([(x + dx * size, y + dy * size) for dx, dy in wings], canvas.palette.near, 0.95)


def _confetti(canvas: Canvas) -> None:
    colors = (canvas.palette.light, canvas.palette.far, PALETTES["Comedy"][0].top, PALETTES["Comedy"][0].mid)
    for _ in range(26):
        x, y, size = canvas.dice.uniform(0, W), canvas.dice.uniform(0, 420), canvas.dice.uniform(3, 7)
        angle = canvas.dice.uniform(0, math.pi)
        dx, dy = size * math.cos(angle), size * math.sin(angle)
        canvas.line([(x - dx, y - dy), (x + dx, y + dy)], canvas.dice.choice(colors), 5, 0.95)


def _notes(canvas: Canvas) -> None:
    for _ in range(4):
        x, y, size = canvas.dice.uniform(50, 350), canvas.dice.uniform(90, 320), canvas.dice.uniform(9, 14)
        color = canvas.palette.light
        canvas.pen.ellipse((x - size, y - size * 0.7, x + size, y + size * 0.7), fill=color)
        canvas.line([(x + size - 2, y), (x + size - 2, y - size * 3.4), (x + size * 2, y - size * 2.5)], color, 4)


def _cracks(canvas: Canvas) -> None:
    """A bullet's hole in glass."""
    x, y = canvas.dice.uniform(90, 310), canvas.dice.uniform(90, 300)
    for _ in range(13):
        angle, reach = canvas.dice.uniform(0, math.tau), canvas.dice.uniform(30, 110)
        bend = angle + canvas.dice.uniform(-0.25, 0.25)
        middle = (x + reach * 0.5 * math.cos(angle), y + reach * 0.5 * math.sin(angle))
        canvas.line(
            [(x, y), middle, (x + reach * math.cos(bend), y + reach * math.sin(bend))], (255, 255, 255), 2, 0.55
        )
    canvas.disc(x, y, 10, canvas.palette.near)
    canvas.ring(x, y, 12, (255, 255, 255), 3, 0.7)


def _crosshair(canvas: Canvas) -> None:
    x, y, radius = canvas.dice.uniform(110, 290), canvas.dice.uniform(150, 300), canvas.dice.uniform(44, 70)
    color = canvas.palette.light
    for share in (1.0, 0.55):
        canvas.ring(x, y, radius * share, color, 3, 0.85)
    canvas.line([(x - radius * 1.3, y), (x + radius * 1.3, y)], color, 2, 0.85)
    canvas.line([(x, y - radius * 1.3), (x, y + radius * 1.3)], color, 2, 0.85)


def _blinds(canvas: Canvas) -> None:
    for n in range(9):
        y = 60 + n * 44
        canvas.shape([(0, y), (W, y - 70), (W, y - 56), (0, y + 14)], canvas.palette.near, 0.3)


def _fog(canvas: Canvas) -> None:
    for n in range(6):
        shift = canvas.dice.uniform(-160, 100)
        box = (shift, 300 + n * 34, shift + canvas.dice.uniform(280, 480), 336 + n * 36)
        canvas.pen.ellipse(box, fill=(*canvas.palette.low, 58))


def _squadron(canvas: Canvas) -> None:
    x, y = canvas.dice.uniform(110, 250), canvas.dice.uniform(60, 150)
    half = [(0, -12), (5, 0), (24, 6), (5, 9), (3, 18)]
    outline = half + [(-dx, dy) for dx, dy in reversed(half)]
    for n in range(-2, 3):
        canvas.shape([(x + n * 40 + dx, y + abs(n) * 24 + dy) for dx, dy in outline], canvas.palette.near)


def _birds(canvas: Canvas) -> None:
    for _ in range(7):
        x, y, size = canvas.dice.uniform(30, 370), canvas.dice.uniform(50, 250), canvas.dice.uniform(7, 15)
        canvas.line([(x - size, y - size * 0.5), (x, y), (x + size, y - size * 0.5)], canvas.palette.near, 3, 0.9)


def _sparks(canvas: Canvas) -> None:
    for _ in range(22):
        x, y, size = canvas.dice.uniform(0, W), canvas.dice.uniform(40, 430), canvas.dice.uniform(8, 26)
        canvas.line([(x, y), (x + size, y - size * 0.8)], (255, 190, 70), 3, canvas.dice.uniform(0.5, 1))


def _glitter(canvas: Canvas) -> None:
    for _ in range(9):
        x, y, size = canvas.dice.uniform(20, 380), canvas.dice.uniform(40, 360), canvas.dice.uniform(6, 15)
        thin = size * 0.16
        canvas.shape([(x, y - size), (x + thin, y - thin), (x + size, y), (x + thin, y + thin), (x, y + size),
                      (x - thin, y + thin), (x - size, y), (x - thin, y - thin)], canvas.palette.light)  # fmt: skip


def _bubbles(canvas: Canvas) -> None:
    for _ in range(8):
        x, y, size = canvas.dice.uniform(20, 380), canvas.dice.uniform(50, 420), canvas.dice.uniform(8, 24)
        canvas.disc(x, y, size, (255, 255, 255), 0.22)
        canvas.ring(x, y, size, (255, 255, 255), 2, 0.8)


_ACCENTS: dict[str, Callable[[Canvas], None]] = {
    "Sci-Fi": _shooting_stars,
    "Romance": _hearts,
    "Horror": _bats,
    "Comedy": _confetti,
    "Musical": _notes,
    "Crime": _cracks,
    "Thriller": _crosshair,
    "Film-Noir": _blinds,
    "Mystery": _fog,
    "War": _squadron,
    "Adventure": _birds,
    "Action": _sparks,
    "Fantasy": _glitter,
    "Children": _bubbles,
    "Animation": _bubbles,
}
