"""The stage: musicals."""

from __future__ import annotations

import math

from sample.posters.canvas import Canvas, H, W
from sample.posters.palettes import mixed
from sample.posters.scenery import person


def spotlights(canvas: Canvas) -> None:
    """People in crossing beams, between curtains."""
    middle = _beams(canvas)
    dice = canvas.dice
    people = dice.choice([1, 2, 3])
    for number in range(people):
        x = middle + (number - (people - 1) / 2) * 62
        person(canvas, x, 496, dice.uniform(160, 190), canvas.palette.near, wear="any")
    _curtains(canvas)


def ring_of_bulbs(canvas: Canvas) -> None:
    """Somebody before a ring of bulbs."""
    p, dice = canvas.palette, canvas.dice
    middle = _beams(canvas)
    radius = dice.uniform(105, 130)
    for number in range(20):
        angle = number / 20 * math.tau
        x, y = middle + radius * math.cos(angle), 235 + radius * math.sin(angle)
        canvas.glow(x, y, 24, p.light, 0.5)
        canvas.disc(x, y, 9, p.light)
    person(canvas, middle, 494, dice.uniform(190, 220), p.near, wear=dice.choice(["dress", "hat"]))
    _curtains(canvas)


def record(canvas: Canvas) -> None:
    """A record as large as the sun, and notes."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    x, y, radius = dice.uniform(170, 230), dice.uniform(220, 260), dice.uniform(136, 158)
    canvas.rays(x, y, 15, p.far, 0.6, dice.uniform(0, 1))
    canvas.disc(x + 7, y + 9, radius, mixed(p.near, p.mid, 0.4), 0.7)
    canvas.disc(x, y, radius, p.near)
    for reach in range(58, round(radius) - 6, 12):
        canvas.ring(x, y, reach, mixed(p.near, p.light, 0.28), 2)
    for start in (200, 20):
        canvas.pen.pieslice((x - radius, y - radius, x + radius, y + radius), start, start + 26, fill=(*p.light, 34))
    canvas.disc(x, y, 46, p.light)
    canvas.disc(x, y, 36, p.low)
    canvas.disc(x, y, 8, p.near)
    _dancers(canvas)


def piano(canvas: Canvas) -> None:
    """Keys that climb across the sheet, under beams."""
    p, dice = canvas.palette, canvas.dice
    _beams(canvas)
    slope, top, width = dice.choice([-1, 1]) * dice.uniform(0.12, 0.3), dice.uniform(230, 280), 38.0
    for number in range(-1, 12):
        left = number * width
        y, far = top + (left - W / 2) * slope, top + (left + width - W / 2) * slope
        canvas.shape(
            [(left + 1, y), (left + width - 2, far), (left + width - 2, far + 170), (left + 1, y + 170)], p.light
        )
    for number in range(-1, 12):
        if number % 7 not in (2, 6):
            left = number * width + width * 0.7
            y, far = top + (left - W / 2) * slope, top + (left + 22 - W / 2) * slope
            canvas.shape([(left, y), (left + 23, far), (left + 23, far + 104), (left, y + 104)], p.near)
    person(canvas, dice.uniform(130, 270), top + 8, dice.uniform(130, 160), p.near, wear="any")


def _beams(canvas: Canvas) -> float:
    """Three beams that meet on a stage; returns where."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    canvas.box(0, 470, W, H, p.mid)
    middle = W / 2 + dice.uniform(-30, 30)
    for lamp in dice.sample([-60, 60, 140, 260, 340, 460], 3):
        canvas.shape([(lamp - 5, -20), (lamp + 5, -20), (middle + 92, 492), (middle - 92, 492)], p.light, 0.24)
    canvas.pen.ellipse((middle - 118, 468, middle + 118, 520), fill=(*p.light, 190))
    return middle


def _curtains(canvas: Canvas) -> None:
    p = canvas.palette
    for side in (-1, 1):
        for fold in range(5):
            x = W / 2 + side * (W / 2 - 12 - fold * 19)
            curve = [(x, 0), (x, 260), (x + side * 6, 420), (x + side * 22, 620)]
            canvas.line(curve, (p.far, p.mid)[fold % 2], 21)
    for fold in range(11):
        canvas.pen.pieslice((fold * 40 - 20, -48, fold * 40 + 24, 48), 0, 180, fill=(p.far, p.mid)[fold % 2])


def _dancers(canvas: Canvas) -> None:
    p, dice = canvas.palette, canvas.dice
    canvas.ridge(500, 6, p.near, 0.02)
    x = dice.uniform(120, 280)
    person(canvas, x - 26, 506, 118, p.near, wear="hat")
    person(canvas, x + 26, 506, 108, p.near, wear="dress")
