"""Objects of several scenes: stars, towns, trees, waves, people."""

from __future__ import annotations

import math

from sample.posters.canvas import Canvas, H, Point, W
from sample.posters.palettes import Color, mixed


def stars(canvas: Canvas, count: int, color: Color, lowest: float) -> None:
    """A night sky down to `lowest`; few stars are large."""
    for _ in range(count):
        x, y = canvas.dice.uniform(0, W), canvas.dice.uniform(0, lowest)
        size = 0.8 + 2.2 * canvas.dice.random() ** 4
        canvas.disc(x, y, size, color, canvas.dice.uniform(0.35, 1))


def sun(canvas: Canvas, x: float, y: float, radius: float, alpha: float = 1.0) -> None:
    """A sun or moon in the palette's light, with its glow."""
    canvas.glow(x, y, radius * 2.2, canvas.palette.light, 0.5 * alpha)
    canvas.disc(x, y, radius, canvas.palette.light, alpha)


def clouds(canvas: Canvas, count: int, color: Color, highest: float, lowest: float, alpha: float) -> None:
    """Rounded clouds with flat bellies."""
    for _ in range(count):
        x, y, size = canvas.dice.uniform(0, W), canvas.dice.uniform(highest, lowest), canvas.dice.uniform(16, 34)
        for part in range(4):
            radius = size * (1 - abs(part - 1.4) * 0.22)
            centre = x + (part - 1.5) * size * 0.9
            box = (centre - radius, y - radius, centre + radius, y + radius)
            canvas.pen.pieslice(box, 180, 360, fill=(*color, round(alpha * 255)))


def fog(canvas: Canvas, count: int, top: float, alpha: float) -> None:
    """Banks of mist from `top` to the foot."""
    for number in range(count):
        left = canvas.dice.uniform(-160, 60)
        y = top + number * (H - top) / count * 0.8
        box = (left, y, left + canvas.dice.uniform(280, 520), y + 40)
        canvas.pen.ellipse(box, fill=(*canvas.palette.low, round(alpha * 255)))


def layered_hills(canvas: Canvas, top: float, back: Color, front: Color, layers: int, roughness: float) -> None:
    """Ranges one before the other, from the colour in the back to the one in front."""
    for layer in range(layers):
        share = layer / max(layers - 1, 1)
        base = top + (H - 90 - top) * share
        canvas.ridge(base, 34 - 10 * share, mixed(back, front, share), roughness, step=20 if roughness < 0.3 else 34)


def sea(canvas: Canvas, top: float, back: Color, front: Color, rows: int) -> None:
    """Rows of waves from the horizon to the foot."""
    for row in range(rows):
        start, length = canvas.dice.uniform(0, 60), canvas.dice.uniform(54, 84)
        y = top + row * (H - top) / rows
        crest = [(x, y + 9 * math.sin((x + start) / length * math.tau)) for x in range(0, W + 10, 8)]
        canvas.shape([(0, H), *crest, (W + 10, H)], mixed(back, front, row / max(rows - 1, 1)))


def road(canvas: Canvas, horizon: float, color: Color, marks: Color) -> None:
    """A straight road to the horizon, with its broken line."""
    canvas.shape([(W / 2 - 9, horizon), (W / 2 + 9, horizon), (W + 40, H), (-40, H)], color)
    for number in range(6):
        top, low = (horizon + (H - horizon) * ((number + part) / 6) ** 2 for part in (0, 0.5))
        half = 1 + number * 1.3
        canvas.shape(
            [(W / 2 - half, top), (W / 2 + half, top), (W / 2 + half + 1, low), (W / 2 - half - 1, low)], marks
        )


def skyline(canvas: Canvas, ground: float, color: Color, tallest: float, lights: Color | None) -> None:
    """Towers side by side, standing on `ground`, some windows lit."""
    x = -10.0
    while x < W:
        width = canvas.dice.uniform(26, 62)
        top = ground - tallest * canvas.dice.uniform(0.35, 1) ** 1.3
        canvas.box(x, top, x + width, H, color)
        if canvas.dice.random() < 0.3:
            canvas.box(x + width / 2 - 2, top - canvas.dice.uniform(14, 40), x + width / 2 + 2, top, color)
        if lights is not None:
            _windows(canvas, (x, top), width, ground, lights)
        x += width + canvas.dice.choice([0, 0, 4])


def _windows(canvas: Canvas, corner: Point, width: float, ground: float, lights: Color) -> None:
    left, top = corner
    for y in range(round(top) + 10, round(ground), 14):
        for x in range(round(left) + 6, round(left + width) - 8, 11):
            if canvas.dice.random() < 0.3:
                canvas.box(x, y, x + 5, y + 7, lights, canvas.dice.uniform(0.5, 1))


def bare_tree(canvas: Canvas, x: float, y: float, length: float, color: Color) -> None:
    """A leafless tree with its foot at (x, y)."""
    _branch(canvas, (x, y), -math.pi / 2 + canvas.dice.uniform(-0.15, 0.15), length, 13, color)


def _branch(canvas: Canvas, foot: Point, angle: float, length: float, width: float, color: Color) -> None:
    if width < 1.5:
        return
    tip = (foot[0] + length * math.cos(angle), foot[1] + length * math.sin(angle))
    canvas.line([foot, tip], color, max(round(width), 1))
    for side in (-1, 1):
        turn = side * canvas.dice.uniform(0.25, 0.75)
        _branch(canvas, tip, angle + turn, length * canvas.dice.uniform(0.66, 0.84), width * 0.64, color)


def leafy_tree(canvas: Canvas, x: float, foot: float, size: float, color: Color) -> None:
    """A tree with a round crown."""
    canvas.line([(x, foot), (x + canvas.dice.uniform(-6, 6), foot - size * 0.8)], color, round(size * 0.08))
    for _ in range(15):
        at = (x + canvas.dice.gauss(0, size * 0.3), foot - size + canvas.dice.gauss(0, size * 0.2))
        canvas.disc(*at, canvas.dice.uniform(size * 0.13, size * 0.26), color)


def person(canvas: Canvas, x: float, feet: float, height: float, color: Color, wear: str = "coat") -> None:
    """Somebody who stands with their back to us.

    wear: `coat`, `hat` (a coat and a hat), `dress`, or `any` of the three.
    """
    h = height
    wear = canvas.dice.choice(["coat", "hat", "dress"]) if wear == "any" else wear
    shoulders, waist = feet - 0.79 * h, feet - 0.5 * h
    hem = feet - (0.16 if wear == "dress" else 0.3) * h
    wide, narrow = (0.19, 0.085) if wear == "dress" else (0.13, 0.155)
    canvas.disc(x, feet - 0.9 * h, 0.085 * h, color)
    canvas.box(x - 0.03 * h, feet - 0.86 * h, x + 0.03 * h, shoulders, color)
    right = [(0.05, shoulders - 0.025 * h), (0.14, shoulders + 0.035 * h), (0.155, waist), (narrow, waist), (wide, hem)]
    canvas.shape([(x + dx * h, y) for dx, y in right] + [(x - dx * h, y) for dx, y in reversed(right)], color)
    for side in (-1, 1):
        leg = [(0.11, hem - 2), (0.01, hem - 2), (0.03, feet), (0.1, feet)]
        canvas.shape([(x + side * dx * h, y) for dx, y in leg], color)
    if wear == "hat":
        _hat(canvas, x, feet - 0.945 * h, h, color)
    elif wear == "dress":
        canvas.disc(x, feet - 0.865 * h, 0.1 * h, color)


def _hat(canvas: Canvas, x: float, brim: float, h: float, color: Color) -> None:
    canvas.pen.ellipse((x - 0.16 * h, brim - 0.02 * h, x + 0.16 * h, brim + 0.025 * h), fill=color)
    crown = [(-0.09, 0), (-0.075, -0.095), (0, -0.075), (0.075, -0.095), (0.09, 0)]
    canvas.shape([(x + dx * h, brim + dy * h) for dx, dy in crown], color)
