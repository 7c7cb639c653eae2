"""Open country: westerns, wars and adventures."""

from __future__ import annotations

import math

from sample.posters.canvas import Canvas, H, W
from sample.posters.palettes import Color, mixed
from sample.posters.scenery import clouds, layered_hills, person, sea, sun


def mesas(canvas: Canvas) -> None:
    """A low sun behind mesas, and a cactus."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 430)
    sun(canvas, dice.uniform(110, 290), dice.uniform(200, 270), dice.uniform(62, 105))
    for base, height, color in ((380, 130, p.far), (430, 95, p.mid)):
        _mesa_range(canvas, base, height, color)
    canvas.ridge(470, 10, p.near, 0.05)
    _cactus(canvas, dice.choice([70, 330]) + dice.uniform(-25, 25), 478, dice.uniform(90, 140))


def railroad(canvas: Canvas) -> None:
    """Rails into the setting sun, with telegraph poles."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 380)
    sun(canvas, W / 2, 330, dice.uniform(90, 120))
    _mesa_range(canvas, 372, 70, p.far)
    canvas.box(0, 370, W, H, p.mid)
    for number in range(11):
        y = 372 + 230 * (number / 10) ** 2
        half = 8 + 150 * (number / 10) ** 2
        canvas.box(W / 2 - half, y, W / 2 + half, y + 2 + number, p.near)
    for side in (-1, 1):
        canvas.line([(W / 2 + side * 4, 370), (W / 2 + side * 112, H)], p.light, 5)
    side = dice.choice([-1, 1])
    for number in range(4):
        x, height = W / 2 + side * (28 + 44 * number * (1 + number * 0.28)), 46 + 58 * number
        foot = 378 + 30 * number
        canvas.line([(x, foot), (x, foot - height)], p.near, 3 + number)
        canvas.line(
            [(x - 8 - 5 * number, foot - height * 0.9), (x + 8 + 5 * number, foot - height * 0.9)], p.near, 3 + number
        )


def wagon_wheel(canvas: Canvas) -> None:
    """A broken wheel in the sand."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 420)
    sun(canvas, dice.uniform(70, 330), dice.uniform(100, 160), dice.uniform(38, 58))
    _mesa_range(canvas, 420, 100, p.far)
    canvas.ridge(432, 12, p.mid, 0.05)
    x, y, radius, turn = dice.uniform(160, 240), 355, dice.uniform(112, 132), dice.uniform(0, 0.5)
    for number in range(12):
        angle = turn + number / 12 * math.tau
        canvas.line([(x, y), (x + radius * math.cos(angle), y + radius * math.sin(angle))], p.near, 9)
    canvas.ring(x, y, radius + 7, p.near, 17)
    canvas.disc(x, y, 24, p.near)
    canvas.disc(x, y, 9, p.low)
    canvas.ridge(462, 12, p.near, 0.05)


def _mesa_range(canvas: Canvas, base: float, height: float, color: Color) -> None:
    x = canvas.dice.uniform(-80, 0)
    canvas.box(0, base, W, H, color)
    while x < W:
        width, top = canvas.dice.uniform(60, 150), base - height * canvas.dice.uniform(0.3, 1)
        slope = canvas.dice.uniform(8, 22)
        left = [(x, base + 2), (x + slope, top + 16), (x + slope + 3, top)]
        right = [(x + width - slope, top), (x + width - slope + 4, top + 20), (x + width, base + 2)]
        canvas.shape(left + right, color)
        x += width + canvas.dice.uniform(10, 70)


def _cactus(canvas: Canvas, x: float, foot: float, size: float) -> None:
    ink, half = canvas.palette.near, size * 0.09
    canvas.pen.rounded_rectangle((x - half, foot - size, x + half, foot), half, fill=ink)
    for side, level in ((-1, 0.45), (1, canvas.dice.uniform(0.55, 0.65))):
        y, reach = foot - size * level, side * size * 0.3
        canvas.line([(x, y), (x + reach, y), (x + reach, y - size * 0.25)], ink, round(half * 1.4))
        canvas.disc(x + reach, y - size * 0.25, half * 0.7, ink)


def searchlights(canvas: Canvas) -> None:
    """Beams over a dark ridge, and planes in them."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 450)
    for _ in range(3):
        foot, tip = dice.uniform(40, 360), dice.uniform(-60, 460)
        canvas.shape([(foot - 4, 460), (foot + 4, 460), (tip + 44, -10), (tip - 44, -10)], p.light, 0.32)
    for _ in range(dice.randint(3, 6)):
        _plane(canvas, dice.uniform(50, 350), dice.uniform(70, 250), dice.uniform(18, 34))
    _smoke(canvas, 2)
    _soldiers(canvas, 2)


def soldiers_at_dawn(canvas: Canvas) -> None:
    """A file of soldiers before a pale sun."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 450)
    canvas.disc(dice.uniform(120, 280), dice.uniform(230, 320), dice.uniform(86, 126), p.light, 0.9)
    _smoke(canvas, 2)
    _soldiers(canvas, dice.randint(4, 6))


def barbed_wire(canvas: Canvas) -> None:
    """Posts and wire against a burning sky."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 420)
    canvas.glow(dice.uniform(80, 320), 400, 190, p.light, 0.8)
    canvas.ridge(404, 22, p.far, 0.5, step=30)
    _smoke(canvas, 3)
    canvas.ridge(450, 14, p.mid, 0.3)
    canvas.ridge(520, 10, p.near, 0.2)
    lean = dice.uniform(-14, 14)
    for x in (70, 200, 330):
        canvas.line([(x, 545), (x + lean, 290)], p.near, 11)
    for level in (318, 372, 426, 480):
        wire = [(x, level + 9 * math.sin(x / 41 + level)) for x in range(-10, W + 20, 10)]
        canvas.line(wire, p.near, 3)
        for x, y in wire[2::4]:
            canvas.line([(x - 8, y - 9), (x + 8, y + 9)], p.near, 3)
            canvas.line([(x - 8, y + 9), (x + 8, y - 9)], p.near, 3)


def _smoke(canvas: Canvas, columns: int) -> None:
    for _ in range(columns):
        x, drift = canvas.dice.uniform(20, 380), canvas.dice.uniform(-12, 12)
        for puff in range(9):
            at = (x + puff * drift + canvas.dice.uniform(-10, 10), 430 - puff * 30)
            canvas.disc(*at, 13 + puff * 4.5, canvas.palette.mid, 0.28)


def _soldiers(canvas: Canvas, count: int) -> None:
    p, dice = canvas.palette, canvas.dice
    canvas.ridge(430, 18, p.far, 0.3)
    canvas.ridge(462, 14, p.mid, 0.3)
    crest = canvas.ridge(498, 12, p.near, 0.2)
    for number in range(count):
        x, y = crest[3 + number * 3]
        person(canvas, x, y + 6, dice.uniform(70, 84), p.near)
        canvas.pen.pieslice((x - 10, y - 78, x + 10, y - 56), 180, 360, fill=p.near)
        canvas.line([(x - 12, y - 20), (x + 22, y - 68)], p.near, 4)


def _plane(canvas: Canvas, x: float, y: float, size: float) -> None:
    body = [(-1, 0), (-1, -0.36), (-0.7, 0), (1, -0.12), (1, 0.1), (-1, 0.14)]
    wing = [(-0.1, 0), (0.4, 0), (-0.1, 0.75), (-0.35, 0.75)]
    far_wing = [(0.1, 0), (0.4, 0), (0.15, -0.5), (-0.05, -0.5)]
    for part in (body, wing, far_wing):
        canvas.shape([(x + dx * size, y + dy * size) for dx, dy in part], canvas.palette.near)


def mountains(canvas: Canvas) -> None:
    """Peaks with snow and a small traveller."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 440)
    sun(canvas, dice.uniform(90, 310), dice.uniform(130, 220), dice.uniform(44, 72))
    clouds(canvas, 5, p.light, 90, 300, 0.4)
    for base, height, color in ((410, 190, p.far), (450, 140, p.mid)):
        _peaks(canvas, base, height, color)
    canvas.ridge(490, 16, p.near, 0.15)
    person(canvas, dice.uniform(110, 290), 492, 66, p.near, wear="any")


def _peaks(canvas: Canvas, base: float, height: float, color: Color) -> None:
    x = canvas.dice.uniform(-120, -40)
    canvas.box(0, base, W, H, color)
    while x < W:
        width, top = canvas.dice.uniform(130, 220), base - height * canvas.dice.uniform(0.5, 1)
        peak, snow = x + width * canvas.dice.uniform(0.4, 0.6), (base - top) * 0.28
        canvas.shape([(x, base + 2), (peak, top), (x + width, base + 2)], color)
        cap = [(0, 0), (0.5, 1), (0.12, 0.72), (-0.14, 1.05), (-0.5, 0.9)]
        canvas.shape([(peak + dx * snow, top + dy * snow) for dx, dy in cap], canvas.palette.light, 0.85)
        x += width * canvas.dice.uniform(0.55, 0.8)


def sail(canvas: Canvas) -> None:
    """A ship on the waves."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 440)
    sun(canvas, dice.uniform(90, 310), dice.uniform(150, 260), dice.uniform(54, 92))
    clouds(canvas, 5, p.light, 90, 300, 0.4)
    layered_hills(canvas, 385, mixed(p.far, p.low, 0.5), p.far, 1, 0.3)
    sea(canvas, 396, p.far, mixed(p.far, p.mid, 0.5), 2)
    _ship(canvas, dice.uniform(130, 270), 448, dice.uniform(130, 180))
    sea(canvas, 452, mixed(p.far, p.mid, 0.7), p.near, 4)


def _ship(canvas: Canvas, x: float, y: float, size: float) -> None:
    p = canvas.palette
    canvas.line([(x, y), (x, y - size)], p.near, 5)
    canvas.shape([(x + 5, y - size), (x + size * 0.55, y - size * 0.2), (x + 5, y - size * 0.2)], p.light)
    canvas.shape([(x - 5, y - size * 0.88), (x - size * 0.42, y - size * 0.2), (x - 5, y - size * 0.2)], p.light, 0.85)
    hull = [(-0.5, -0.13), (0.6, -0.13), (0.4, 0.12), (-0.36, 0.12)]
    canvas.shape([(x + dx * size, y + dy * size) for dx, dy in hull], p.near)
