"""Daylight: comedies, animation and films for children."""

from __future__ import annotations

import math

from sample.posters.canvas import Canvas, H, W
from sample.posters.palettes import mixed
from sample.posters.scenery import clouds, layered_hills

_WHITE = (255, 255, 255)
_WARM = ((238, 82, 83), (255, 159, 67))


def balloons(canvas: Canvas) -> None:
    """Balloons over round hills."""
    p, dice = canvas.palette, canvas.dice
    _round_country(canvas)
    for number in range(dice.randint(3, 6)):
        x, y, size = 70 + number * 56 + dice.uniform(-16, 16), dice.uniform(150, 300), dice.uniform(26, 44)
        canvas.line([(x, y + size), (x + dice.uniform(-20, 20), y + size + 90)], p.near, 2)
        color = dice.choice([p.mid, p.far, p.light, *_WARM])
        canvas.pen.ellipse((x - size, y - size * 1.18, x + size, y + size * 1.18), fill=color)
        canvas.disc(x - size * 0.35, y - size * 0.45, size * 0.2, _WHITE, 0.75)


def creature(canvas: Canvas) -> None:
    """Somebody round with large eyes."""
    p, dice = canvas.palette, canvas.dice
    _round_country(canvas)
    x, y, size = dice.uniform(150, 250), 390, dice.uniform(92, 122)
    body = dice.choice([p.mid, p.near, *_WARM])
    ears = dice.choice([0.32, 0.22, 0.44])
    for side in (-1, 1):
        canvas.disc(x + side * size * 0.62, y - size * 0.92, size * ears, body)
        canvas.disc(x + side * size * 0.62, y - size * 0.92, size * ears * 0.5, mixed(body, _WHITE, 0.5))
    canvas.pen.rounded_rectangle((x - size, y - size, x + size, y + size * 1.2), size * 0.9, fill=body)
    canvas.pen.ellipse(
        (x - size * 0.6, y + size * 0.25, x + size * 0.6, y + size * 1.3), fill=mixed(body, _WHITE, 0.35)
    )
    look = dice.uniform(-7, 7)
    for side in (-1, 1):
        canvas.disc(x + side * size * 0.36, y - size * 0.3, size * 0.27, _WHITE)
        canvas.disc(x + side * size * 0.36 + look, y - size * 0.27, size * 0.13, (25, 25, 40))
    canvas.pen.chord((x - size * 0.36, y - size * 0.14, x + size * 0.36, y + size * 0.34), 10, 170, fill=_WHITE)


def mushrooms(canvas: Canvas) -> None:
    """Giant mushrooms under a smiling sun."""
    p, dice = canvas.palette, canvas.dice
    _round_country(canvas)
    sun_x, sun_y = dice.uniform(80, 320), dice.uniform(90, 150)
    canvas.disc(sun_x, sun_y, 54, p.light)
    canvas.pen.arc((sun_x - 24, sun_y - 18, sun_x + 24, sun_y + 26), 20, 160, fill=p.near, width=5)
    for side in (-1, 1):
        canvas.disc(sun_x + side * 17, sun_y - 10, 5, p.near)
    for x, size in sorted(((dice.uniform(60, 340), dice.uniform(44, 92)) for _ in range(3)), key=lambda each: each[1]):
        foot, color = 420 + size, dice.choice([p.mid, *_WARM])
        canvas.pen.rounded_rectangle(
            (x - size * 0.24, foot - size * 1.7, x + size * 0.24, foot), 14, fill=mixed(p.low, _WHITE, 0.6)
        )
        canvas.pen.pieslice((x - size, foot - size * 2.5, x + size, foot - size * 0.7), 180, 360, fill=color)
        for dx, dy, spot in ((-0.5, -1.85, 0.13), (0, -2.15, 0.18), (0.5, -1.85, 0.12)):
            canvas.disc(x + dx * size, foot + dy * size, size * spot, _WHITE)


def _round_country(canvas: Canvas) -> None:
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 420)
    canvas.rays(W / 2, 420, 9, p.light, 0.22, math.pi + 0.1)
    clouds(canvas, 6, _WHITE, 70, 280, 0.85)
    for number in range(4):
        radius = dice.uniform(150, 250)
        canvas.disc(dice.uniform(0, W), 420 + number * 40 + radius, radius, mixed(p.far, p.mid, number / 3))
    canvas.disc(dice.uniform(-40, W), 680, 190, p.near)


def hot_air_balloon(canvas: Canvas) -> None:
    """A striped balloon over a village."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 460)
    clouds(canvas, 7, _WHITE, 60, 380, 0.8)
    x, y, size = dice.uniform(140, 260), dice.uniform(170, 220), dice.uniform(76, 100)
    for share, color in ((1.0, p.mid), (0.68, p.light), (0.3, p.far)):
        canvas.pen.ellipse((x - size * share, y - size * 1.1, x + size * share, y + size * 1.1), fill=color)
    mouth, basket = y + size * 0.98, y + size * 1.4
    canvas.shape([(x - size * 0.4, mouth), (x + size * 0.4, mouth), (x + 16, basket), (x - 16, basket)], p.mid)
    canvas.pen.rounded_rectangle((x - 17, basket, x + 17, basket + 26), 6, fill=p.near)
    _village(canvas)


def kite(canvas: Canvas) -> None:
    """A kite with its tail, over a village."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 460)
    clouds(canvas, 7, _WHITE, 60, 380, 0.8)
    x, y, size = dice.uniform(140, 260), dice.uniform(160, 210), dice.uniform(84, 112)
    canvas.shape([(x, y - size), (x + size * 0.7, y), (x, y + size), (x - size * 0.7, y)], p.mid)
    canvas.shape([(x, y - size), (x + size * 0.7, y), (x, y + size)], p.far)
    tail = [(x + 26 * math.sin(step / 2), y + size + step * 15) for step in range(14)]
    canvas.line(tail, p.near, 3)
    for tail_x, tail_y in tail[3::4]:
        bow = [(-15, -8), (15, 8), (15, -8), (-15, 8)]
        canvas.shape([(tail_x + dx, tail_y + dy) for dx, dy in bow], p.far)
    _village(canvas)


def _village(canvas: Canvas) -> None:
    p = canvas.palette
    layered_hills(canvas, 420, p.far, p.near, 3, 0.02)
    for _ in range(6):
        x, y = canvas.dice.uniform(20, 360), canvas.dice.uniform(462, 500)
        canvas.box(x, y, x + 26, y + 26, p.light)
        canvas.shape([(x - 6, y), (x + 13, y - 20), (x + 32, y)], p.mid)
        canvas.box(x + 9, y + 10, x + 17, y + 26, p.near)


def smile(canvas: Canvas) -> None:
    """A broad face in a burst of stripes."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    x, y = dice.uniform(180, 220), dice.uniform(215, 260)
    canvas.rays(x, y, dice.randint(10, 16), p.light, 0.55, dice.uniform(0, 1))
    canvas.disc(x, y, 118, p.mid)
    canvas.pen.pieslice((x - 74, y - 64, x + 74, y + 84), 0, 180, fill=p.light)
    wink = dice.random() < 0.5
    for side in (-1, 1):
        if wink and side == 1:
            canvas.pen.arc((x + 26, y - 46, x + 62, y - 14), 190, 350, fill=p.near, width=8)
        else:
            canvas.disc(x + side * 43, y - 34, 14, p.near)
    _confetti(canvas)


def bowler_hat(canvas: Canvas) -> None:
    """A bowler hat and a moustache on stripes."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    slope, x, y = dice.choice([-0.6, 0.6]), dice.uniform(180, 220), dice.uniform(225, 260)
    for number in range(-8, 16):
        left = number * 66
        canvas.shape([(left, 0), (left + 33, 0), (left + 33 + slope * H, H), (left + slope * H, H)], p.far, 0.85)
    canvas.disc(x, y, 128, p.light)
    canvas.pen.pieslice((x - 66, y - 96, x + 66, y + 60), 180, 360, fill=p.near)
    canvas.box(x - 66, y - 42, x + 66, y - 22, p.mid)
    canvas.pen.rounded_rectangle((x - 104, y - 24, x + 104, y - 4), 10, fill=p.near)
    for side in (-1, 1):
        canvas.pen.chord((x + side * 34 - 36, y + 22, x + side * 34 + 36, y + 74), 180, 360, fill=p.near)
    _confetti(canvas)


def pennants(canvas: Canvas) -> None:
    """Rows of pennants, as at a fair."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    colors = (p.mid, p.light, p.far, p.near)
    for row in range(5):
        level, sag = 44 + row * 92, dice.uniform(16, 44)
        line = [(x, level + sag * math.sin(x / W * math.pi)) for x in range(0, W + 20, 20)]
        canvas.line(line, p.near, 3)
        for number in range(9):
            left = number * 50 - 20
            hang = level + sag * math.sin(max(left + 22, 0) / W * math.pi)
            canvas.shape([(left, hang), (left + 44, hang), (left + 22, hang + 56)], colors[(number + row) % 4])
    _confetti(canvas)


def umbrella(canvas: Canvas) -> None:
    """A broad umbrella in a rain of dots."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    for row in range(14):
        for column in range(9):
            canvas.disc(column * 52 + (row % 2) * 26 - 10, row * 44, 6, p.light, 0.7)
    x, y, size = dice.uniform(175, 225), dice.uniform(250, 290), dice.uniform(138, 160)
    canvas.line([(x, y - size), (x, y + 120)], p.near, 9)
    hook = dice.choice([-1, 1])
    canvas.pen.arc((x + hook * 20 - 20, y + 98, x + hook * 20 + 20, y + 142), 0, 180, fill=p.near, width=9)
    for share, color in ((1.0, p.mid), (0.62, p.far), (0.24, p.mid)):
        canvas.pen.pieslice((x - size * share, y - size, x + size * share, y + size), 180, 360, fill=color)
    for scallop in range(5):
        left = x - size + scallop * size * 0.4
        canvas.pen.pieslice((left, y - 20, left + size * 0.4, y + 20), 180, 360, fill=p.low)


def rubber_duck(canvas: Canvas) -> None:
    """A duck of rubber on round waves."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.low, p.top)
    canvas.rays(W / 2, 380, 12, p.light, 0.4, math.pi + 0.1)
    x, y, size, side = dice.uniform(170, 230), 350, dice.uniform(100, 118), dice.choice([-1, 1])
    body = dice.choice([p.mid, (255, 200, 40)])
    canvas.pen.ellipse((x - size, y - size * 0.62, x + size, y + size * 0.62), fill=body)
    canvas.shape(
        [
            (x - side * size * 0.7, y - 20),
            (x - side * size * 1.25, y - size * 0.72),
            (x - side * size * 0.2, y - size * 0.5),
        ],
        body,
    )
    head_x, head_y = x + side * size * 0.5, y - size * 0.88
    canvas.disc(head_x, head_y, size * 0.52, body)
    beak = [(0.36, -0.16), (0.98, 0.04), (0.36, 0.24)]
    canvas.shape([(head_x + side * dx * size, head_y + dy * size) for dx, dy in beak], _WARM[1])
    canvas.disc(head_x + side * size * 0.16, head_y - size * 0.12, size * 0.1, p.near)
    wing = mixed(body, p.near, 0.18)
    canvas.pen.chord((x - size * 0.6, y - size * 0.5, x + size * 0.4, y + size * 0.34), 10, 180, fill=wing)
    for row, color in enumerate((p.far, mixed(p.far, p.near, 0.4), p.near)):
        level = 392 + row * 44
        for bump in range(-1, 8):
            canvas.disc(bump * 66 + row * 33, level + 40, 44, color)
        canvas.box(0, level + 40, W, H, color)


def _confetti(canvas: Canvas) -> None:
    p, dice = canvas.palette, canvas.dice
    for _ in range(40):
        at = (dice.uniform(0, W), dice.uniform(0, H))
        canvas.disc(*at, dice.uniform(3, 8), dice.choice([p.mid, p.light, p.far, p.near]), 0.9)
