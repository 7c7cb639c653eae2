"""Titles: one embedded font, made to look like many by weight, tracking, stretch and slant."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

_MEASURED_AT = 60
"""Size in pixels at which lines are measured before the size that fits is known."""


_PLAIN = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ł": "l", "Ł": "L", "ı": "i", "ð": "d",
                        "æ": "ae", "Æ": "Ae", "œ": "oe", "½": " 1/2", "ʻ": "'", "’": "'", "–": "-"})  # fmt: skip
"""Letters that Unicode does not take apart into a plain one and its accent."""


@dataclass(frozen=True, slots=True)
class Lettering:
    """How letters look."""

    upper: bool = True
    weight: float = 0.0
    """Thickening of the strokes, as a share of the size."""
    tracking: float = 0.0
    """Space added between letters, as a share of the size; negative tightens."""
    stretch: float = 1.0
    """Width of a letter; below 1 is condensed."""
    slant: float = 0.0
    """Lean to the right, as a share of the height."""
    leading: float = 1.12
    """From line to line, as a share of the size."""
    largest: int = 84
    most_lines: int = 4
    left: bool = False
    """Flush left in place of centred."""


def text_block(text: str, width: float, height: float, style: Lettering) -> Image.Image:
    """A mask (mode L) of the text as large as fits into width × height, broken into lines of like length."""
    text = _without_accents(text.upper() if style.upper else text)
    lines, size = _fitted(text.split(), width, height, style)
    sheets = [_line(line, size, style) for line in lines]
    step = round(size * style.leading)
    block = Image.new("L", (max(sheet.width for sheet in sheets), step * (len(sheets) - 1) + sheets[-1].height))
    for number, sheet in enumerate(sheets):
        x = 0 if style.left else (block.width - sheet.width) // 2
        block.paste(255, (x, number * step), sheet)
    return block


def _without_accents(text: str) -> str:
    """The embedded font has no accented letters: `"Amélie"` → `"Amelie"`."""
    apart = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _fitted(words: list[str], width: float, height: float, style: Lettering) -> tuple[list[str], int]:
    """The lines and the size that let the letters be largest."""
    best_lines, best_size = [" ".join(words)], 0
    for count in range(1, min(len(words), style.most_lines) + 1):
        lines = _balanced(words, count)
        widest = max(_width(line, _MEASURED_AT, style) for line in lines)
        tallest = height / ((count - 1) * style.leading + 1.25)
        size = int(min(width / widest * _MEASURED_AT, tallest, style.largest))
        if size > best_size:
            best_lines, best_size = lines, size
    return best_lines, max(best_size, 8)


def _balanced(words: list[str], count: int) -> list[str]:
    """Words in `count` lines whose longest is as short as can be (by number of letters)."""
    for limit in range(max(map(len, words)), len(" ".join(words)) + 1):
        lines = [words[0]]
        for word in words[1:]:
            if len(lines[-1]) + 1 + len(word) <= limit:
                lines[-1] += f" {word}"
            else:
                lines.append(word)
        if len(lines) <= count:
            return lines
    return [" ".join(words)]


def _width(line: str, size: int, style: Lettering) -> float:
    natural = _font(size).getlength(line) + style.tracking * size * (len(line) - 1)
    return (natural + 2 * style.weight * size) * style.stretch + abs(style.slant) * size


def _line(line: str, size: int, style: Lettering) -> Image.Image:
    font, stroke = _font(size), round(style.weight * size)
    margin = stroke + 2
    width = round(font.getlength(line) + style.tracking * size * len(line)) + 2 * margin
    sheet = Image.new("L", (max(width, 1), round(size * 1.25) + margin))
    pen = ImageDraw.Draw(sheet)
    if style.tracking:
        x = float(margin)
        for letter in line:
            pen.text((x, 0), letter, fill=255, font=font, stroke_width=stroke)
            x += font.getlength(letter) + style.tracking * size
    else:
        pen.text((margin, 0), line, fill=255, font=font, stroke_width=stroke)
    if style.stretch != 1:
        sheet = sheet.resize((max(round(sheet.width * style.stretch), 1), sheet.height))
    if style.slant:
        lean = style.slant * sheet.height
        wide = (sheet.width + round(abs(lean)), sheet.height)
        sheet = sheet.transform(
            wide, Image.Transform.AFFINE, (1, style.slant, -lean, 0, 1, 0), Image.Resampling.BILINEAR
        )
    return sheet


@lru_cache(maxsize=128)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font (Aileron): it is embedded, so every machine draws the same letters."""
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow is built without FreeType"
    return font
