"""How posters looked when the film came out: paper, colours, frame and letters of each era."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageEnhance, ImageOps

from features.catalog import Film
from sample.posters.canvas import Canvas, H, W
from sample.posters.lettering import Lettering, text_block
from sample.posters.palettes import Color, brightness, mixed

_CREAM: Color = (238, 226, 198)
_INK: Color = (28, 24, 22)


@dataclass(frozen=True, slots=True)
class Era:
    """A span of years and its way to print a poster."""

    name: str
    last_year: int
    grain: float
    """Strength of the paper's noise, in levels of 255."""
    vignette: float
    """How dark the corners get, 0 to 1."""
    compose: Callable[[Canvas, Film, Random], Image.Image]
    """From the drawn scene to the poster with its letters, at the sheet's size."""


def era_of(year: int | None) -> Era:
    """The era of a year; films without one get the newest."""
    return next((era for era in ERAS if year is not None and year <= era.last_year), ERAS[-1])


def _silent(canvas: Canvas, film: Film, dice: Random) -> Image.Image:
    """To 1929: sepia in a cream frame, the title on a plaque."""
    grey = ImageOps.autocontrast(ImageOps.grayscale(canvas.image), cutoff=1)
    tone = dice.choice([(46, 30, 20), (30, 34, 38), (42, 36, 16)])
    art = ImageOps.colorize(grey, tone, (244, 230, 196), mid=mixed(tone, (214, 186, 140), 0.62))
    sheet = Image.new("RGB", (W, H), _CREAM)
    sheet.paste(art.crop((30, 40, 370, 440)), (30, 30))
    pen = ImageDraw.Draw(sheet)
    for inset, width in ((12, 2), (20, 4)):
        pen.rectangle((inset, inset, W - inset, H - inset), outline=tone, width=width)
    pen.rectangle((28, 28, 371, 431), outline=tone, width=4)
    for x in (12, W - 12):
        for y in (12, H - 12):
            pen.rectangle((x - 12, y - 12, x + 12, y + 12), fill=_CREAM, outline=tone, width=3)
            pen.polygon([(x, y - 7), (x + 7, y), (x, y + 7), (x - 7, y)], fill=tone)
    _write(
        sheet, film.title, (40, 446, 360, 538), Lettering(weight=0.03, tracking=0.12, largest=50, most_lines=3), tone
    )
    pen.line((140, 546, 260, 546), fill=tone, width=2)
    _write(sheet, film.director, (60, 552, 340, 574), Lettering(tracking=0.2, largest=17, most_lines=1), tone)
    return sheet


def _golden_age(canvas: Canvas, film: Film, dice: Random) -> Image.Image:
    """1930 to 1949: a painted sheet, a swash of colour under tall letters with a shadow."""
    p = canvas.palette
    canvas.raise_scene(78)
    canvas.shade(p.top, 80, 24, 0.85)
    art = ImageEnhance.Color(canvas.image).enhance(0.82)
    sheet = ImageChops.multiply(art, Image.new("RGB", (W, H), (255, 244, 222)))
    pen = ImageDraw.Draw(sheet, "RGBA")
    tilt = dice.choice([-1, 1]) * dice.uniform(14, 34)
    band = [(0, 430 + tilt), (W, 430 - tilt), (W, H), (0, H)]
    pen.polygon([(x, y - 9) for x, y in band[:2]] + band[2:], fill=p.light)
    pen.polygon(band, fill=p.near)
    style = Lettering(weight=0.05, stretch=dice.choice([0.78, 0.9, 1.0]), leading=1.0, slant=dice.choice([0, 0, 0.14]))
    _write(sheet, film.title, (22, 452, 378, 560), style, _bright(p.light), shadow=mixed(p.near, p.mid, 0.85))
    _write(sheet, film.director, (30, 565, 370, 588), Lettering(tracking=0.1, largest=18, most_lines=1), _CREAM)
    names = "   ".join(film.cast[:2])
    ink = p.near if brightness(p.top) > 0.45 else _CREAM
    _write(sheet, names, (20, 20, 380, 52), Lettering(weight=0.03, largest=22, most_lines=1), ink)
    return _framed(sheet, _CREAM, 9)


def _cut_paper(canvas: Canvas, film: Film, dice: Random) -> Image.Image:
    """1950 to 1964: flat inks printed a little out of register, the title on a torn slip of paper."""
    p = canvas.palette
    flat = ImageOps.posterize(canvas.image, 3)
    red, green, blue = Image.blend(canvas.image, flat, 0.65).split()
    sheet = Image.merge("RGB", (ImageChops.offset(red, 3, 2), green, blue))
    sheet = ImageChops.multiply(sheet, Image.new("RGB", (W, H), (255, 249, 232)))
    pen = ImageDraw.Draw(sheet)
    slip = dice.choice([_CREAM, p.light, mixed(p.mid, (230, 70, 40), 0.5)])
    top = dice.choice([38, 432])
    corners = ((22, 0), (205, 0), (384, 0), (376, 142), (180, 148), (16, 138))
    pen.polygon([(x + dice.uniform(-6, 6), top + y + dice.uniform(-13, 13)) for x, y in corners], fill=slip)
    ink = _INK if brightness(slip) > 0.4 else _CREAM
    style = Lettering(upper=dice.random() < 0.6, weight=0.045, tracking=-0.02, leading=0.98, left=dice.random() < 0.5)
    _write(sheet, film.title, (42, top + 18, 358, top + 112), style, ink)
    _write(sheet, film.director, (42, top + 114, 358, top + 134), Lettering(upper=False, largest=18, most_lines=1), ink)
    return sheet


def _seventies(canvas: Canvas, film: Film, dice: Random) -> Image.Image:
    """1965 to 1979: a faded print with a white border, stripes, and tight round letters."""
    p = canvas.palette
    faded = Image.blend(canvas.image, Image.new("RGB", (W, H), (214, 170, 120)), 0.16)
    art = faded.resize((348, 376), Image.Resampling.BILINEAR, box=(0, 30, W, 462))
    paper = dice.choice([(246, 240, 228), (242, 232, 210), (34, 28, 26)])
    ink = _INK if brightness(paper) > 0.5 else (244, 234, 212)
    sheet = Image.new("RGB", (W, H), paper)
    corners = Image.new("L", art.size, 0)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, art.width - 1, art.height - 1), 26, fill=255)
    sheet.paste(art, (26, 26), corners)
    pen = ImageDraw.Draw(sheet)
    for number, color in enumerate((p.far, p.mid, mixed(p.light, p.mid, 0.35))):
        pen.rectangle((26, 414 + number * 9, 374, 419 + number * 9), fill=color)
    style = Lettering(upper=False, weight=0.04, tracking=-0.045, leading=0.98, left=True)
    _write(sheet, film.title, (26, 448, 374, 548), style, ink)
    line = f"{film.director}   {film.year or ''}"
    _write(sheet, line, (28, 556, 372, 578), Lettering(upper=False, largest=18, most_lines=1, left=True), ink)
    return sheet


def _eighties(canvas: Canvas, film: Film, dice: Random) -> Image.Image:
    """1980 to 1989: airbrush and neon, chrome letters that lean."""
    p = canvas.palette
    canvas.raise_scene(64)
    canvas.shade(mixed(p.near, (12, 6, 30), 0.6), 390, 500, 0.94)
    sheet = ImageEnhance.Color(canvas.image).enhance(1.45)
    light = _bright(mixed(p.light, (255, 90, 180), dice.choice([0.0, 0.35])))
    box = (18, 446, 382, 552)
    style = Lettering(weight=0.05, slant=0.2, leading=1.0, stretch=0.95)
    mask = text_block(film.title, box[2] - box[0], box[3] - box[1], style)
    x, y = (W - mask.width) // 2, box[1] + (box[3] - box[1] - mask.height) // 2
    sheet.paste(light, (x + 3, y + 4), mask.point(lambda value: value // 2))
    chrome = ImageOps.colorize(
        Image.linear_gradient("L").resize(mask.size), (255, 255, 255), mixed(light, (30, 10, 60), 0.25), mid=light
    )
    sheet.paste(chrome, (x, y), mask)
    pen = ImageDraw.Draw(sheet)
    pen.polygon([(18, 562), (382, 556), (382, 559), (18, 564)], fill=light)
    _write(
        sheet, film.director, (30, 567, 370, 588), Lettering(tracking=0.14, largest=16, most_lines=1), (235, 230, 240)
    )
    return sheet


def _nineties(canvas: Canvas, film: Film, dice: Random) -> Image.Image:
    """1990 to 1999: deep shadows, wide-set capitals between thin rules, the names below."""
    canvas.raise_scene(64)
    canvas.shade((8, 8, 10), 380, 480, 0.96)
    sheet = ImageEnhance.Contrast(ImageEnhance.Color(canvas.image).enhance(0.9)).enhance(1.12)
    ink = dice.choice([(240, 236, 226), (240, 236, 226), _bright(mixed(canvas.palette.light, (255, 255, 255), 0.3))])
    pen = ImageDraw.Draw(sheet)
    for y in (446, 534):
        pen.line((70, y, 330, y), fill=ink, width=2)
    _write(sheet, film.title, (24, 452, 376, 530), Lettering(weight=0.012, tracking=0.2, largest=46), ink)
    _billing(sheet, film, 541, mixed(ink, (8, 8, 10), 0.35))
    return sheet


def _noughties(canvas: Canvas, film: Film, dice: Random) -> Image.Image:
    """2000 to 2009: teal shadows and orange lights, tall condensed capitals."""
    canvas.raise_scene(64)
    graded = ImageOps.colorize(ImageOps.grayscale(canvas.image), (6, 22, 30), (255, 226, 190), mid=(120, 124, 122))
    sheet = Image.blend(canvas.image, graded, 0.38)
    pen = ImageDraw.Draw(sheet, "RGBA")
    below = mixed(canvas.palette.near, (6, 18, 26), 0.6)
    for step in range(60):  # a dark foot that fades upwards
        pen.rectangle((0, 400 + step * 2, W, 401 + step * 2), fill=(*below, round(step / 60 * 235)))
    pen.rectangle((0, 520, W, H), fill=(*below, 238))
    ink = _bright(mixed(canvas.palette.light, (255, 255, 255), dice.choice([0.15, 0.75])))
    _write(
        sheet, film.title, (24, 440, 376, 536), Lettering(weight=0.03, stretch=0.62, tracking=0.04, leading=1.04), ink
    )
    _billing(sheet, film, 544, mixed(ink, below, 0.3))
    return sheet


def _minimal(canvas: Canvas, film: Film, dice: Random) -> Image.Image:
    """From 2010: a broad quiet margin, small heavy letters flush left."""
    p = canvas.palette
    paper = dice.choice([(247, 245, 240), p.near, mixed(p.low, (255, 255, 255), 0.25)])
    ink = _INK if brightness(paper) > 0.5 else (246, 243, 236)
    sheet = Image.new("RGB", (W, H), paper)
    above = dice.random() < 0.5
    art = canvas.image.crop((0, 50, W, 510))
    sheet.paste(art, (0, 140 if above else 0))
    top = 22 if above else 478
    pen = ImageDraw.Draw(sheet)
    pen.rectangle((26, top + 4, 32, top + 94), fill=mixed(p.mid, p.light, 0.4))
    style = Lettering(upper=False, weight=0.045, tracking=-0.02, leading=1.05, largest=46, most_lines=3, left=True)
    _write(sheet, film.title, (44, top, 374, top + 74), style, ink)
    _write(
        sheet,
        film.director,
        (44, top + 76, 374, top + 98),
        Lettering(upper=False, largest=18, most_lines=1, left=True),
        ink,
    )
    return sheet


ERAS = (
    Era("silent", 1929, grain=10, vignette=0.30, compose=_silent),
    Era("golden age", 1949, grain=7, vignette=0.26, compose=_golden_age),
    Era("cut paper", 1964, grain=5, vignette=0.08, compose=_cut_paper),
    Era("seventies", 1979, grain=6, vignette=0.12, compose=_seventies),
    Era("eighties", 1989, grain=5, vignette=0.22, compose=_eighties),
    Era("nineties", 1999, grain=4, vignette=0.42, compose=_nineties),
    Era("noughties", 2009, grain=3, vignette=0.30, compose=_noughties),
    Era("minimal", 9999, grain=0, vignette=0.0, compose=_minimal),
)
"""Oldest first."""


def _write(
    sheet: Image.Image,
    text: str,
    box: tuple[float, float, float, float],
    style: Lettering,
    color: Color,
    shadow: Color | None = None,
) -> None:
    """Letters in the middle of a box (or at its left), as large as fit."""
    if not text.strip():
        return
    left, top, right, low = box
    mask = text_block(text, right - left, low - top, style)
    x = round(left if style.left else (left + right - mask.width) / 2)
    y = round((top + low - mask.height) / 2)
    if shadow is not None:
        sheet.paste(shadow, (x + 4, y + 5), mask)
    sheet.paste(color, (x, y), mask)


def _bright(color: Color) -> Color:
    """The colour, lightened until it can be read on a dark ground."""
    lacking = max(0.0, 0.6 - brightness(color))
    return mixed(color, (255, 255, 255), lacking / max(1 - brightness(color), 0.01))


def _billing(sheet: Image.Image, film: Film, top: float, color: Color) -> None:
    """The block of names that stands at the foot of a poster."""
    style = Lettering(stretch=0.6, largest=22, most_lines=1)
    _write(sheet, "  ·  ".join(film.cast[:3]), (30, top, 370, top + 24), style, color)
    _write(sheet, f"Directed by {film.director}", (30, top + 23, 370, top + 47), style, color)


def _framed(sheet: Image.Image, color: Color, width: int) -> Image.Image:
    ImageDraw.Draw(sheet).rectangle((0, 0, W - 1, H - 1), outline=color, width=width)
    return sheet
