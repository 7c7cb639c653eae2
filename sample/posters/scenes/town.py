"""Streets at night: film noir, crime and action."""

from __future__ import annotations

import math

from sample.posters.canvas import Canvas, H, W
from sample.posters.palettes import mixed
from sample.posters.scenery import person, road, skyline


def street_lamp(canvas: Canvas) -> None:
    """Somebody with a hat, under a lamp."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 560)
    skyline(canvas, 430, mixed(p.mid, p.far, 0.4), 250, None)
    lamp = dice.choice([105, 295]) + dice.uniform(-15, 15)
    for head, foot, alpha in ((9, 135, 0.22), (7, 85, 0.25)):
        canvas.shape([(lamp - head, 130), (lamp + head, 130), (lamp + foot, 500), (lamp - foot, 500)], p.light, alpha)
    canvas.box(0, 490, W, H, p.near)
    canvas.pen.ellipse((lamp - 135, 474, lamp + 135, 512), fill=(*p.light, 120))
    canvas.line([(lamp, 118), (lamp, 500)], p.near, 7)
    canvas.glow(lamp, 128, 60, p.light, 0.9)
    canvas.disc(lamp, 126, 13, p.light)
    person(
        canvas,
        lamp + (62 if lamp < W / 2 else -62),
        500,
        dice.uniform(185, 225),
        p.near,
        wear=dice.choice(["hat", "hat", "dress"]),
    )


def blind(canvas: Canvas) -> None:
    """The light of a blind across a wall and a back."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 560)
    slant, gap = dice.uniform(-0.35, 0.35), dice.uniform(30, 40)
    for number in range(-4, 20):
        y, far = number * gap, number * gap + slant * W
        canvas.shape([(0, y), (W, far), (W, far + gap * 0.5), (0, y + gap * 0.5)], p.light, 0.72)
    canvas.shade(p.near, 330, 560, 0.9)
    person(
        canvas, dice.uniform(150, 250), 620, dice.uniform(400, 470), p.near, wear=dice.choice(["hat", "hat", "dress"])
    )


def night_street(canvas: Canvas) -> None:
    """A town at night, a moon, and people who wait."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 500)
    canvas.disc(dice.uniform(120, 280), dice.uniform(150, 230), dice.uniform(55, 95), p.light, dice.choice([0.9, 0.35]))
    skyline(canvas, 470, p.far, 250, None)
    skyline(canvas, 500, p.mid, 190, p.light)
    canvas.box(0, 470, W, H, p.near)
    for number in range(dice.randint(1, 3)):
        person(canvas, 90 + 110 * number + dice.uniform(-20, 20), 515, dice.uniform(140, 180), p.near, wear="any")


def fingerprint(canvas: Canvas) -> None:
    """A print of a finger, as large as the sheet."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.low, p.top)
    x, y, turn = W / 2, dice.uniform(215, 250), dice.uniform(-0.2, 0.2)
    start = dice.uniform(0, math.tau)
    for number in range(11):
        loop = []
        for step in range(70):
            angle = step / 69 * math.tau * dice.choice([0.9, 0.96, 1.0]) + start + number * 0.5
            reach = 12 + number * 14 + 3.5 * math.sin(3 * angle + number)
            dx, dy = reach * 0.86 * math.cos(angle), reach * 1.18 * math.sin(angle) + number * 3
            loop.append((x + dx * math.cos(turn) - dy * math.sin(turn), y + dx * math.sin(turn) + dy * math.cos(turn)))
        gap = dice.randrange(50)
        canvas.line(loop[: gap + 8], p.light, 6)
        canvas.line(loop[gap + 12 :], p.light, 6)


def handcuffs(canvas: Canvas) -> None:
    """A pair of handcuffs on a bare ground."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 480)
    canvas.glow(W / 2, 240, 240, p.light, 0.3)
    left, right = (dice.uniform(105, 125), dice.uniform(170, 200)), (dice.uniform(275, 295), dice.uniform(290, 320))
    for number in range(4):
        share = 0.36 + number * 0.1
        x, y = (left[axis] + (right[axis] - left[axis]) * share for axis in (0, 1))
        canvas.pen.ellipse((x - 17, y - 11, x + 17, y + 11), outline=p.light, width=6)
    for (x, y), side in ((left, 1), (right, -1)):
        canvas.ring(x + 5, y + 6, 70, p.near, 17)
        canvas.ring(x, y, 70, p.light, 17)
        canvas.pen.rounded_rectangle(
            (x + side * 30 - 24, y + side * 46 - 17, x + side * 30 + 24, y + side * 46 + 17), 9, fill=p.light
        )
        canvas.disc(x + side * 30, y + side * 46, 6, p.near)
    canvas.shade(p.near, 400, 560, 0.9)


def headlights(canvas: Canvas) -> None:
    """A car that comes down a dark road."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 330)
    skyline(canvas, 330, p.far, 130, p.light if dice.random() < 0.5 else None)
    canvas.box(0, 326, W, H, p.mid)
    road(canvas, 326, p.near, p.light)
    x, y, size = W / 2 + dice.uniform(-26, 26), 440, dice.uniform(74, 90)
    for side in (-1, 1):
        light = x + side * size * 0.72
        canvas.shape(
            [(light - 8, y), (light + 8, y), (light + 80 + side * 40, H), (light - 80 + side * 40, H)], p.light, 0.28
        )
    canvas.pen.rounded_rectangle((x - size, y - 34, x + size, y + 36), 16, fill=p.near)
    canvas.shape(
        [(x - size * 0.75, y - 30), (x - size * 0.52, y - 80), (x + size * 0.52, y - 80), (x + size * 0.75, y - 30)],
        p.near,
    )
    canvas.shape(
        [(x - size * 0.6, y - 36), (x - size * 0.45, y - 70), (x + size * 0.45, y - 70), (x + size * 0.6, y - 36)],
        p.far,
    )
    for side in (-1, 1):
        canvas.box(x + side * size * 0.7 - 14, y + 30, x + side * size * 0.7 + 14, y + 52, p.near)
        canvas.glow(x + side * size * 0.72, y, 56, p.light, 0.9)
        canvas.disc(x + side * size * 0.72, y, 15, p.light)


def blast(canvas: Canvas) -> None:
    """A blast, and somebody who walks away from it."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 520)
    x, y = dice.uniform(130, 270), dice.uniform(220, 300)
    canvas.rays(x, y, dice.randint(14, 22), p.light, 0.2, dice.uniform(0, 1))
    for radius, color in ((190, p.low), (150, p.far), (112, p.light)):
        points = []
        for step in range(44):
            angle = step / 44 * math.tau
            reach = radius * (dice.uniform(0.86, 1.18) if step % 2 else dice.uniform(0.56, 0.76))
            points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
        canvas.shape(points, color, 0.9)
    canvas.glow(x, y, 130, (255, 255, 255), 0.75)
    skyline(canvas, 500, p.mid, 110, None)
    canvas.box(0, 484, W, H, p.near)
    for _ in range(26):
        angle, reach, size = dice.uniform(0, math.tau), dice.uniform(90, 290), dice.uniform(3, 9)
        cx, cy = x + reach * math.cos(angle), y + reach * math.sin(angle)
        canvas.shape([(cx, cy - size), (cx + size, cy + size * 0.4), (cx - size * 0.6, cy + size)], p.near, 0.9)
    for number in range(dice.randint(1, 2)):
        person(
            canvas,
            x + (number - 0.3) * 70,
            500,
            dice.uniform(160, 190),
            p.near,
            wear=dice.choice(["coat", "coat", "dress"]),
        )


def chase(canvas: Canvas) -> None:
    """Speed: streaks that meet far ahead on the road."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 300)
    x, y = W / 2 + dice.uniform(-40, 40), dice.uniform(250, 290)
    canvas.rays(x, y, dice.randint(26, 36), p.far, 0.55, dice.uniform(0, 1))
    canvas.glow(x, y, 170, p.light, 0.95)
    canvas.shape([(x - 6, y), (x + 6, y), (W + 140, H), (-140, H)], p.near)
    for _ in range(30):
        angle, start = dice.uniform(0, math.tau), dice.uniform(60, 220)
        length = dice.uniform(40, 150)
        ends = [(x + r * math.cos(angle), y + r * math.sin(angle)) for r in (start, start + length)]
        canvas.line(ends, p.light, dice.randint(2, 5), 0.75)
    person(canvas, x, 470, dice.uniform(180, 215), mixed(p.near, (0, 0, 0), 0.5), wear=dice.choice(["coat", "hat"]))
