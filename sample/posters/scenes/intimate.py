"""People close by: dramas and love stories."""

from __future__ import annotations

import math

from sample.posters.canvas import Canvas, H, W
from sample.posters.palettes import mixed
from sample.posters.scenery import layered_hills, leafy_tree, person, road, stars, sun


def couple_at_dusk(canvas: Canvas) -> None:
    """Two people in front of a large sun."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    x = dice.uniform(160, 240)
    sun(canvas, x, dice.uniform(240, 290), dice.uniform(115, 150))
    layered_hills(canvas, 420, p.far, p.near, 3, 0.05)
    first = dice.choice(["coat", "hat", "dress"])
    for side, wear in ((-1, first), (1, "dress")):
        person(canvas, x + side * 23, 480, dice.uniform(124, 140), p.near, wear=wear)


def overlapping_discs(canvas: Canvas) -> None:
    """Two discs that share a part."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    y, radius, apart = dice.uniform(210, 260), dice.uniform(92, 112), dice.uniform(52, 72)
    canvas.disc(W / 2 - apart, y, radius, p.mid, 0.92)
    canvas.disc(W / 2 + apart, y, radius, p.far, 0.78)
    for side in (-1, 1):
        canvas.ring(W / 2 + side * apart, y, radius + 12, p.light, 3, 0.7)
        person(
            canvas, W / 2 + side * apart, y + radius * 0.7, radius * 1.3, p.light, wear="coat" if side < 0 else "dress"
        )
    layered_hills(canvas, 470, p.mid, p.near, 2, 0.05)


def heart(canvas: Canvas) -> None:
    """A heart inside a heart."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    y, size = dice.uniform(215, 255), dice.uniform(115, 145)
    if dice.random() < 0.5:
        canvas.rays(W / 2, y, 14, p.light, 0.35, dice.uniform(0, 1))
    for scale, color in ((1.25, p.far), (1.0, p.mid), (0.62, p.light)):
        curve = []
        for step in range(60):
            t = step / 60 * math.tau
            across = 16 * math.sin(t) ** 3
            along = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
            curve.append((W / 2 + size * scale * across / 17, y - size * scale * along / 17))
        canvas.shape(curve, color)
    layered_hills(canvas, 470, p.far, p.near, 2, 0.05)


def bridge(canvas: Canvas) -> None:
    """Two people on a bridge, and the lamps in the river."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 420)
    stars(canvas, 40, p.light, 250)
    sun(canvas, dice.uniform(90, 310), dice.uniform(120, 190), dice.uniform(38, 62))
    canvas.ridge(380, 16, p.far, 0.4)
    canvas.box(0, 420, W, H, mixed(p.mid, p.near, 0.3))
    for _ in range(30):
        x, y, half = dice.uniform(0, W), dice.uniform(430, H), dice.uniform(8, 40)
        canvas.line([(x - half, y), (x + half, y)], p.light, 3, 0.28)
    deck = [(x, 372 - 46 * math.sin(x / W * math.pi)) for x in range(0, W + 10, 10)]
    canvas.shape(
        [*deck, (W, 470), *((x, 470 - 88 * math.sin((x % 200) / 200 * math.pi)) for x in range(W, -1, -10))], p.near
    )
    canvas.line([(x, y - 26) for x, y in deck], p.near, 4)
    for x, y in deck[::2]:
        canvas.line([(x, y - 26), (x, y)], p.near, 3)
    for at in (6, 34):
        x, y = deck[at]
        canvas.line([(x, y), (x, y - 92)], p.near, 5)
        canvas.glow(x, y - 94, 42, p.light, 0.8)
        canvas.disc(x, y - 94, 9, p.light)
    x, y = deck[dice.randint(16, 24)]
    person(canvas, x - 17, y + 2, 92, p.near, wear="hat")
    person(canvas, x + 17, y + 2, 85, p.near, wear="dress")


def window(canvas: Canvas) -> None:
    """Somebody who looks out of a window."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(mixed(p.near, p.mid, 0.5), p.mid)
    left, top, right, low = dice.uniform(70, 110), 96, dice.uniform(280, 320), dice.uniform(370, 410)
    middle = (left + right) / 2
    canvas.box(left, top, right, low, p.low)
    canvas.shape([(left, low), (right, low), (right + 60, H), (left + 60, H)], p.low, 0.3)
    canvas.box(left, top + (low - top) * 0.5, right, low, p.far, 0.75)
    canvas.disc(middle + dice.uniform(-50, 50), top + 110, dice.uniform(22, 38), p.light)
    canvas.line([(middle, top), (middle, low)], p.near, 9)
    canvas.line([(left, (top + low) / 2), (right, (top + low) / 2)], p.near, 9)
    canvas.pen.rectangle((left, top, right, low), outline=p.near, width=11)
    person(canvas, dice.uniform(left + 20, right - 20), 530, dice.uniform(235, 275), p.near, wear="any")


def lone_tree(canvas: Canvas) -> None:
    """A tree, a low sun, and somebody on the way."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 430)
    canvas.disc(dice.uniform(110, 290), dice.uniform(190, 300), dice.uniform(50, 86), p.light, 0.85)
    layered_hills(canvas, 410, p.far, p.near, 3, 0.04)
    x = dice.choice([110, 290]) + dice.uniform(-25, 25)
    leafy_tree(canvas, x, 490, dice.uniform(120, 160), p.near)
    person(canvas, W - x + dice.uniform(-20, 20), 500, dice.uniform(84, 110), p.near, wear="any")


def shore(canvas: Canvas) -> None:
    """The sea, and people who look at it."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 330)
    x = dice.uniform(130, 270)
    canvas.disc(x, 318, dice.uniform(40, 70), p.light)
    canvas.glow(x, 330, 210, p.light, 0.5)
    for row in range(9):
        y = 330 + row * 17 + row * row * 0.9
        canvas.box(0, y, W, H, mixed(p.far, p.mid, row / 8))
        half = 92 - row * 8
        canvas.line(
            [(x - half + dice.uniform(-18, 18), y + 5), (x + half + dice.uniform(-18, 18), y + 5)], p.light, 3, 0.65
        )
    canvas.shape([(0, 520), (W, 470), (W, H), (0, H)], p.near)
    for number in range(dice.choice([1, 1, 2])):
        person(canvas, dice.uniform(130, 190) + number * 78, 508, dice.uniform(150, 195), p.near, wear="any")


def colour_fields(canvas: Canvas) -> None:
    """Flat fields of colour, a disc between them, and one person."""
    p, dice = canvas.palette, canvas.dice
    upper, lower = dice.uniform(200, 280), dice.uniform(350, 410)
    for top, low, color in ((0, 110, p.top), (110, upper, p.far), (upper, lower, p.mid), (lower, H, p.near)):
        canvas.box(0, top, W, low, color)
    canvas.disc(dice.uniform(130, 270), upper, dice.uniform(60, 100), p.light)
    person(canvas, dice.uniform(110, 290), lower + 4, dice.uniform(150, 205), p.near, wear="any")


def stair(canvas: Canvas) -> None:
    """A long stair towards the light."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.far, p.mid)
    side = dice.choice([-1, 1])
    steps = 9
    canvas.glow(W / 2 + side * 120, 110, 230, p.light, 0.7)
    for number in range(steps):
        x = W / 2 - side * (200 - number * 46)
        y = 520 - number * 46
        edge = W if side > 0 else 0
        canvas.box(min(x, edge), y, max(x, edge), H, mixed(p.near, p.mid, number / steps * 0.55))
        canvas.line([(x, y), (edge, y)], p.light, 3, 0.55)
    at = dice.randint(2, 5)
    person(canvas, W / 2 - side * (200 - at * 46 - 24), 522 - at * 46, dice.uniform(120, 150), p.near, wear="any")


def telegraph_road(canvas: Canvas) -> None:
    """A road through flat land, poles, and somebody who leaves."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 360)
    sun(canvas, dice.uniform(100, 300), dice.uniform(170, 250), dice.uniform(44, 66), 0.85)
    canvas.box(0, 356, W, H, p.far)
    road(canvas, 356, mixed(p.mid, p.near, 0.4), p.low)
    side = dice.choice([-1, 1])
    for number in range(4):
        x, height, foot = W / 2 + side * (24 + 48 * number * (1 + number * 0.22)), 42 + 62 * number, 362 + 34 * number
        canvas.line([(x, foot), (x, foot - height)], p.near, 3 + number)
        canvas.line(
            [(x - 7 - 5 * number, foot - height * 0.9), (x + 7 + 5 * number, foot - height * 0.9)], p.near, 3 + number
        )
    person(canvas, W / 2 - side * dice.uniform(8, 26), 470, dice.uniform(100, 135), p.near, wear="any")
