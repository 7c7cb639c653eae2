"""Planets, castles, maps and globes: science fiction, fantasy and documentaries."""

from __future__ import annotations

import math

from sample.posters.canvas import Canvas, H, W
from sample.posters.palettes import mixed
from sample.posters.scenery import fog, layered_hills, person, skyline, stars, sun


def neon_plain(canvas: Canvas) -> None:
    """A planet over a plain of lines."""
    p, horizon = canvas.palette, 440
    _space(canvas)
    canvas.box(0, horizon, W, H, p.near)
    canvas.glow(W / 2, horizon, 230, p.light, 0.35)
    for step in range(-14, 15):
        canvas.line([(W / 2 + step * 14, horizon), (W / 2 + step * 110, H)], p.light, 2, 0.55)
    for step in range(1, 10):
        y = horizon + (H - horizon) * (step / 9) ** 2
        canvas.line([(0, y), (W, y)], p.light, 2, 0.55)


def strange_ridge(canvas: Canvas) -> None:
    """A planet over jagged rocks, and a visitor."""
    p, dice = canvas.palette, canvas.dice
    _space(canvas)
    layered_hills(canvas, 425, p.mid, p.near, 3, 0.55)
    person(canvas, dice.uniform(120, 280), 486, 56, p.near)


def city_of_tomorrow(canvas: Canvas) -> None:
    """A planet over a city of towers."""
    p = canvas.palette
    _space(canvas)
    skyline(canvas, 520, mixed(p.mid, p.far, 0.3), 250, None)
    skyline(canvas, 540, p.near, 200, p.light)


def rocket(canvas: Canvas) -> None:
    """A rocket that climbs on its flame."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    stars(canvas, 90, p.light, 480)
    canvas.disc(dice.uniform(60, 340), dice.uniform(90, 170), dice.uniform(26, 52), p.far)
    lean, x, y, size = dice.uniform(-0.3, 0.3), W / 2, 250, dice.uniform(125, 150)

    def turned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [
            (
                x + size * (dx * math.cos(lean) - dy * math.sin(lean)),
                y + size * (dx * math.sin(lean) + dy * math.cos(lean)),
            )
            for dx, dy in points
        ]

    canvas.glow(*turned([(0, 1.2)])[0], 130, p.light, 0.8)
    canvas.shape(turned([(-0.16, 0.68), (0.16, 0.68), (0.3, 1.9), (0, 2.9), (-0.3, 1.9)]), p.light, 0.8)
    canvas.shape(turned([(-0.08, 0.68), (0.08, 0.68), (0.12, 1.5), (0, 2.1), (-0.12, 1.5)]), (255, 255, 255), 0.9)
    for side in (-1, 1):
        canvas.shape(turned([(side * 0.2, 0.2), (side * 0.52, 0.78), (side * 0.14, 0.66)]), p.far)
    hull = [(0, -1.0), (0.14, -0.72), (0.24, -0.25), (0.22, 0.35), (0.14, 0.7)]
    canvas.shape(turned(hull + [(-dx, dy) for dx, dy in reversed(hull)]), mixed(p.light, (255, 255, 255), 0.45))
    canvas.shape(turned([(0, -1.0), (0.14, -0.72), (0.2, -0.5), (-0.2, -0.5), (-0.14, -0.72)]), p.far)
    canvas.disc(*turned([(0, -0.18)])[0], size * 0.11, p.mid)
    for puff in range(16):
        canvas.disc(
            dice.uniform(40, 360),
            590 - dice.uniform(0, 60),
            dice.uniform(34, 70),
            mixed(p.low, p.light, puff / 40),
            0.5,
        )


def _space(canvas: Canvas) -> None:
    """Stars, and a planet with a ring or moons."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    stars(canvas, 110, p.light, 470)
    x, y, radius = dice.uniform(120, 280), dice.uniform(170, 250), dice.uniform(80, 135)
    canvas.glow(x, y, radius * 1.7, p.far, 0.8)
    steps = 14
    for step in range(steps):  # from the dark rim to the lit side: discs that shrink towards the light
        share = step / (steps - 1)
        shift = radius * 0.3 * share
        color = mixed(mixed(p.mid, p.far, share), p.light, share**2 * 0.7)
        canvas.disc(x - shift, y - shift, radius * (1 - 0.42 * share), color)
    if dice.random() < 0.55:
        _ring_around(canvas, x, y, radius, dice.uniform(-0.35, 0.35))
    for _ in range(dice.randint(0, 2)):
        angle, reach = dice.uniform(0, math.tau), radius * 1.5
        canvas.disc(
            x + reach * math.cos(angle), y + reach * math.sin(angle), dice.uniform(7, 18), mixed(p.far, p.light, 0.6)
        )


def _ring_around(canvas: Canvas, x: float, y: float, radius: float, tilt: float) -> None:
    """The near half of a ring that is seen from the side."""
    for reach, width, alpha in ((1.75, 5, 0.9), (1.6, 9, 0.55), (1.45, 3, 0.8)):
        points = []
        for step in range(41):
            angle = math.pi * (step / 40 * 1.28 - 0.14)
            across, along = math.cos(angle) * radius * reach, math.sin(angle) * radius * 0.34
            turned_x = across * math.cos(tilt) - along * math.sin(tilt)
            turned_y = across * math.sin(tilt) + along * math.cos(tilt)
            points.append((x + turned_x, y + turned_y))
        canvas.line(points, canvas.palette.light, width, alpha)


def castle(canvas: Canvas) -> None:
    """A castle on its rock under a great moon."""
    p, dice = canvas.palette, canvas.dice
    _enchanted_night(canvas)
    x, ground, size = dice.uniform(150, 250), 440, dice.uniform(120, 165)
    rock = [(-0.9, H), (-0.55, ground - 6), (0.55, ground - 6), (0.95, H)]
    canvas.shape([(x + dx * size, y) for dx, y in rock], p.mid)
    canvas.box(x - size * 0.5, ground - size * 0.45, x + size * 0.5, ground, p.near)
    for offset, height, width in ((-0.5, 0.95, 0.2), (-0.2, 1.3, 0.17), (0.12, 1.65, 0.2), (0.44, 1.05, 0.19)):
        left, top, wide = x + offset * size, ground - size * height * dice.uniform(0.85, 1.05), width * size
        canvas.box(left - wide / 2, top, left + wide / 2, ground, p.near)
        spire = top - wide * dice.uniform(1.6, 2.4)
        canvas.shape([(left - wide * 0.75, top), (left, spire), (left + wide * 0.75, top)], p.near)
        canvas.box(left - 3, top + 14, left + 3, top + 26, p.light)
    canvas.ridge(505, 22, p.near, 0.25)
    fog(canvas, 5, 420, 0.22)


def dragon(canvas: Canvas) -> None:
    """Wings across the moon, and somebody who sees them."""
    p, dice = canvas.palette, canvas.dice
    _enchanted_night(canvas)
    x, y, size, side = dice.uniform(170, 230), dice.uniform(190, 240), dice.uniform(120, 150), dice.choice([-1, 1])
    body = [(-1.1, 0.32), (-0.6, 0.12), (-0.2, 0.02), (0.25, -0.06), (0.5, -0.22), (0.72, -0.24), (0.62, -0.1),
            (0.4, 0.06), (0.1, 0.14), (-0.3, 0.16), (-0.7, 0.26)]  # fmt: skip
    wing = [
        (0.1, 0.02),
        (-0.1, -0.62),
        (-0.28, -0.72),
        (-0.36, -0.4),
        (-0.56, -0.5),
        (-0.6, -0.2),
        (-0.82, -0.24),
        (-0.32, 0.1),
    ]
    far_wing = [(0.2, -0.02), (0.36, -0.6), (0.52, -0.74), (0.5, -0.42), (0.68, -0.5), (0.58, -0.24), (0.3, 0.06)]
    for part in (body, wing, far_wing):
        canvas.shape([(x + side * dx * size, y + dy * size) for dx, dy in part], p.near)
    canvas.ridge(470, 30, p.mid, 0.5, step=34)
    canvas.ridge(512, 18, p.near, 0.2)
    person(canvas, dice.uniform(90, 310), 516, dice.uniform(76, 96), p.near, wear="any")
    fog(canvas, 4, 440, 0.2)


def _enchanted_night(canvas: Canvas) -> None:
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 480)
    stars(canvas, 80, p.light, 360)
    x, y, radius = dice.uniform(120, 280), dice.uniform(170, 230), dice.uniform(84, 120)
    sun(canvas, x, y, radius)
    if dice.random() < 0.3:
        canvas.disc(x + radius * 0.4, y - radius * 0.15, radius * 0.92, mixed(p.top, p.low, 0.45))
    canvas.ridge(400, 60, mixed(p.far, p.low, 0.4), 0.6, step=38)
    canvas.ridge(440, 44, p.far, 0.5, step=30)


def contours(canvas: Canvas) -> None:
    """The lines of a map round a summit."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    x, y = dice.uniform(160, 240), dice.uniform(210, 270)
    starts = [dice.uniform(0, math.tau) for _ in range(3)]
    for number in range(16):
        loop = []
        for step in range(61):
            angle = step / 60 * math.tau
            waves = (math.sin(angle * (k + 1) + start) / k for k, start in enumerate(starts, start=1))
            reach = 16 + number * 19 + (6 + number) * sum(waves)
            loop.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
        thick = number % 5 == 2
        canvas.line(loop, p.light if thick else p.mid, 4 if thick else 2)
    canvas.shade(p.low, 410, 500, 0.96)


def globe(canvas: Canvas) -> None:
    """A globe of meridians with one place marked."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    x, y, radius = dice.uniform(170, 230), dice.uniform(220, 270), dice.uniform(118, 146)
    canvas.disc(x, y, radius, p.mid)
    for number in range(1, 5):
        canvas.pen.ellipse(
            (x - radius * number / 5, y - radius, x + radius * number / 5, y + radius), outline=p.low, width=3
        )
        for side in (-1, 1):
            level = y + side * radius * (number - 1) / 4.4
            half = math.sqrt(max(radius**2 - (level - y) ** 2, 0))
            canvas.line([(x - half, level), (x + half, level)], p.low, 3)
    canvas.disc(x + radius * dice.uniform(-0.4, 0.4), y + radius * dice.uniform(-0.4, 0.4), 15, p.light)


def film_strip(canvas: Canvas) -> None:
    """A strip of film with one small picture after another."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    canvas.box(70, 0, 330, H, p.near)
    for number in range(13):
        for left in (80, 302):
            canvas.pen.rounded_rectangle((left, number * 48 + 10, left + 18, number * 48 + 34), 5, fill=p.low)
    for number in range(4):
        top = -30 + number * 150
        canvas.box(110, top, 290, top + 138, mixed(p.far, p.mid, number / 3))
        canvas.disc(dice.uniform(140, 260), top + 62, dice.uniform(18, 36), p.light)
        canvas.box(110, top + 100, 290, top + 138, p.mid)
    canvas.shade(p.low, 420, 520, 0.96)
