"""Scenes in the dark: horror, mystery and thrillers."""

from __future__ import annotations

import math

from sample.posters.canvas import Canvas, H, W
from sample.posters.scenery import bare_tree, fog, person


def dead_tree(canvas: Canvas) -> None:
    """A tree without leaves before the moon, and graves."""
    p, dice = canvas.palette, canvas.dice
    _moonlit(canvas)
    bare_tree(canvas, dice.choice([100, 300]) + dice.uniform(-20, 20), 480, dice.uniform(95, 120), p.near)
    for _ in range(3):
        x, size = dice.uniform(40, 360), dice.uniform(15, 23)
        canvas.pen.rounded_rectangle((x - size, 478 - size * 2.2, x + size, 520), size, fill=p.near)
    canvas.ridge(482, 10, p.near, 0.1)
    fog(canvas, 4, 440, 0.13)


def lit_house(canvas: Canvas) -> None:
    """A house with a tower and one lit window."""
    p, dice = canvas.palette, canvas.dice
    _moonlit(canvas)
    x, ground, size = dice.uniform(110, 200), 470, dice.uniform(96, 130)
    canvas.box(x, ground - size, x + size, ground + 20, p.near)
    canvas.shape([(x - 10, ground - size), (x + size / 2, ground - size * 1.6), (x + size + 10, ground - size)], p.near)
    canvas.box(x + size * 0.68, ground - size * 1.5, x + size * 0.82, ground - size, p.near)
    tower, top = x + size, ground - size * 1.35
    canvas.box(tower, top, tower + size * 0.36, ground + 20, p.near)
    canvas.shape([(tower - 7, top), (tower + size * 0.18, top - size * 0.6), (tower + size * 0.36 + 7, top)], p.near)
    lit_x, lit_y = dice.choice([(x + size * 0.42, ground - size * 0.8), (tower + size * 0.1, top + size * 0.2)])
    canvas.glow(lit_x + 7, lit_y + 10, 34, p.light, 0.6)
    canvas.box(lit_x, lit_y, lit_x + 14, lit_y + 20, p.light)
    canvas.line([(lit_x + 7, lit_y), (lit_x + 7, lit_y + 20)], p.near, 2)
    canvas.ridge(478, 12, p.near, 0.15)
    fog(canvas, 4, 440, 0.13)


def eyes(canvas: Canvas) -> None:
    """Two eyes in the dark, and teeth perhaps."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.near, p.mid)
    y, apart, size = dice.uniform(190, 240), dice.uniform(62, 80), dice.uniform(38, 50)
    canvas.glow(W / 2, y + 60, 250, p.low, 0.75)
    tilt = dice.uniform(0.15, 0.5)
    for side in (-1, 1):
        x = W / 2 + side * apart
        canvas.glow(x, y, size * 1.9, p.light, 0.5)
        lid = [
            (-1, 0.35 * side * tilt - 0.1),
            (-0.4, -0.42),
            (0.4, -0.42),
            (1, -0.35 * side * tilt - 0.1),
            (0.45, 0.4),
            (-0.45, 0.4),
        ]
        canvas.shape([(x + dx * size, y + dy * size) for dx, dy in lid], p.light)
        canvas.pen.ellipse((x - size * 0.13, y - size * 0.4, x + size * 0.13, y + size * 0.4), fill=p.near)
    if dice.random() < 0.6:
        teeth, level = dice.randint(9, 13), y + 150
        for number in range(teeth):
            x = W / 2 + (number - teeth / 2) * 21
            sag = 26 * math.cos((number + 0.5 - teeth / 2) / teeth * math.pi)
            canvas.shape([(x, level + sag), (x + 20, level + sag), (x + 10, level + sag + 34)], p.light, 0.92)
            canvas.shape([(x, level + sag + 72), (x + 20, level + sag + 72), (x + 10, level + sag + 40)], p.light, 0.92)


def reaching_hand(canvas: Canvas) -> None:
    """A hand out of the ground, before the moon."""
    p, dice = canvas.palette, canvas.dice
    _moonlit(canvas)
    x, wrist, size = dice.uniform(160, 240), 380, dice.uniform(0.95, 1.15)
    canvas.shape([(x - 24 * size, 520), (x + 24 * size, 520), (x + 30 * size, wrist), (x - 30 * size, wrist)], p.near)
    canvas.pen.ellipse((x - 36 * size, wrist - 52 * size, x + 36 * size, wrist + 24 * size), fill=p.near)
    for number, (angle, reach) in enumerate(((-2.75, 66), (-2.0, 108), (-1.65, 122), (-1.3, 114), (-0.92, 92))):
        bend = angle + dice.uniform(-0.12, 0.12)
        root = (x + (number - 2) * 14 * size, wrist - 30 * size)
        knuckle = (root[0] + reach * 0.6 * size * math.cos(bend), root[1] + reach * 0.6 * size * math.sin(bend))
        curl = bend + (0.3 if number < 2 else -0.3)
        tip = (knuckle[0] + reach * 0.5 * size * math.cos(curl), knuckle[1] + reach * 0.5 * size * math.sin(curl))
        canvas.line([root, knuckle, tip], p.near, round(17 * size))
        canvas.disc(*tip, 8.5 * size, p.near)
    canvas.ridge(486, 12, p.near, 0.2)
    fog(canvas, 4, 450, 0.13)


def _moonlit(canvas: Canvas) -> None:
    """A spotted moon over a ridge."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low, 470)
    x, y, radius = dice.uniform(140, 260), dice.uniform(190, 250), dice.uniform(80, 118)
    canvas.glow(x, y, radius * 2.4, p.light, 0.45)
    canvas.disc(x, y, radius, p.light, 0.95)
    for _ in range(5):
        angle, reach = dice.uniform(0, math.tau), radius * dice.uniform(0.1, 0.75)
        canvas.disc(x + reach * math.cos(angle), y + reach * math.sin(angle), dice.uniform(5, 17), p.low, 0.16)
    canvas.ridge(440, 16, p.mid, 0.2)


def keyhole(canvas: Canvas) -> None:
    """Light through a keyhole, and somebody behind it."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    x, y, radius = dice.uniform(160, 240), dice.uniform(180, 220), dice.uniform(66, 88)
    canvas.glow(x, y + 40, radius * 3.2, p.light, 0.4)
    canvas.disc(x, y, radius, p.light)
    sides = [(-0.45, 0), (0.45, 0)]
    canvas.shape(
        [(x + dx * radius, y) for dx, _ in sides] + [(x + radius * 0.95, y + 240), (x - radius * 0.95, y + 240)],
        p.light,
    )
    person(canvas, x + dice.uniform(-18, 18), y + 238, dice.uniform(130, 170), p.near, wear="any")
    fog(canvas, 5, 410, 0.2)


def door_ajar(canvas: Canvas) -> None:
    """A door that stands open on a lit room."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    left, top, width = dice.uniform(95, 175), dice.uniform(120, 160), dice.uniform(110, 140)
    canvas.box(left, top, left + width, 470, p.light)
    canvas.shape([(left, 470), (left + width, 470), (left + width + 120, H), (left - 120, H)], p.light, 0.4)
    leaf = left + width * 0.45
    canvas.shape([(left, top), (leaf, top + 34), (leaf, 506), (left, 470)], p.near)
    canvas.disc(left + width * 0.38, 320, 5, p.light)
    person(canvas, left + width * 0.74, 482, dice.uniform(140, 170), p.near, wear="any")
    fog(canvas, 5, 420, 0.2)


def magnifier(canvas: Canvas) -> None:
    """A lens over a trail of footprints."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.low, p.top)
    x, y, radius = dice.uniform(165, 215), dice.uniform(190, 240), dice.uniform(92, 116)
    for number in range(9):
        px, py = 60 + number * 36, 560 - number * 58
        for side in (-1, 1):
            if (number + side) % 2:
                canvas.pen.ellipse((px + side * 15 - 9, py - 15, px + side * 15 + 9, py + 15), fill=(*p.near, 150))
    angle = math.pi / 4 + dice.uniform(-0.15, 0.15)
    grip = [(x + r * math.cos(angle), y + r * math.sin(angle)) for r in (radius, radius + 160)]
    canvas.line(grip, p.near, 30)
    canvas.disc(*grip[1], 15, p.near)
    canvas.disc(x, y, radius, p.light, 0.85)
    canvas.ring(x, y, radius + 8, p.near, 17)
    person(canvas, x, y + radius * 0.66, radius * 1.35, p.near, wear="hat")
    canvas.pen.arc(
        (x - radius + 16, y - radius + 16, x + radius - 16, y + radius - 16), 190, 250, fill=(255, 255, 255), width=7
    )


def spiral(canvas: Canvas) -> None:
    """A spiral that draws somebody in."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    x, y = dice.uniform(160, 240), dice.uniform(200, 260)
    turns, points = dice.uniform(5, 8), []
    for step in range(240):
        angle, reach = step / 240 * turns * math.tau, 4 + 330 * (step / 240) ** 1.4
        points.append((x + reach * math.cos(angle), y + reach * math.sin(angle)))
    canvas.line(points, p.light, 5)
    person(canvas, x, y + 60, dice.uniform(100, 130), p.near, wear="any")
    canvas.shade(p.near, 380, 560, 0.85)


def rings(canvas: Canvas) -> None:
    """A target with somebody in its middle."""
    p, dice = canvas.palette, canvas.dice
    x, y, step = dice.uniform(160, 240), dice.uniform(210, 260), dice.uniform(24, 34)
    canvas.sky(p.top, p.low)
    for number in range(11, 0, -1):
        canvas.disc(x, y, number * step, p.light if number % 2 else p.far)
    person(canvas, x, y + 82, dice.uniform(140, 165), p.near, wear="any")
    canvas.shade(p.near, 380, 560, 0.85)


def turning_squares(canvas: Canvas) -> None:
    """Frames inside frames, each turned a little."""
    p, dice = canvas.palette, canvas.dice
    canvas.sky(p.top, p.low)
    x, y, twist = W / 2, dice.uniform(220, 260), dice.uniform(0.1, 0.2)
    for number in range(10):
        reach, turn = 400 - number * 38, number * twist
        corners = [turn + quarter * math.pi / 2 for quarter in range(4)]
        color = (p.near, p.far, p.low)[number % 3]
        canvas.shape([(x + reach * math.cos(a), y + reach * math.sin(a)) for a in corners], color)
    person(canvas, x, y + 44, dice.uniform(78, 96), p.light, wear="any")
    canvas.shade(p.near, 380, 560, 0.85)
