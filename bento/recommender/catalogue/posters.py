"""Posters: the release's own, and a drawn placeholder for films without one."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from html import escape
from pathlib import Path

from features.catalog import Film
from features.ids import Id

FILE = "posters.zip"
"""Beside the catalogue in the release: `<movie_id>.jpg`, stored without compression."""

LINE_LENGTH = 14
"""Characters of the title per line of a placeholder."""

LINES = 5


@dataclass(frozen=True, slots=True)
class Picture:
    """An image as it is sent."""

    content: bytes
    content_type: str


class Posters:
    """The posters of one release."""

    def __init__(self, folder: Path) -> None:
        path = folder / FILE
        self._archive = zipfile.ZipFile(path) if path.exists() else None
        self._names = frozenset(self._archive.namelist() if self._archive else ())

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, movie_id: Id) -> bool:
        return f"{movie_id}.jpg" in self._names

    def of(self, film: Film) -> Picture:
        """The film's poster, or a placeholder that shows its title."""
        name = f"{film.movie_id}.jpg"
        if self._archive is not None and name in self._names:
            return Picture(self._archive.read(name), "image/jpeg")
        return Picture(placeholder(film).encode(), "image/svg+xml")

    def close(self) -> None:
        """Close the archive."""
        if self._archive is not None:
            self._archive.close()


def placeholder(film: Film) -> str:
    """A poster drawn from title, year and genre, as SVG; the same film always looks the same."""
    seed = film.genres[0] if film.genres else film.title
    hue = int.from_bytes(hashlib.blake2b(seed.encode(), digest_size=2).digest(), "little") % 360
    lines = _wrapped(film.title)
    first_y = 150 - 15 * len(lines)
    text = "".join(f'<text x="100" y="{first_y + 30 * n}">{escape(line)}</text>' for n, line in enumerate(lines))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 300" role="img">'
        f"<title>{escape(film.title)}</title>"
        f'<rect width="200" height="300" fill="hsl({hue} 35% 28%)"/>'
        f'<circle cx="100" cy="150" r="120" fill="hsl({hue} 40% 36%)"/>'
        f'<g fill="#fff" font-family="Georgia, serif" font-size="22" text-anchor="middle">{text}'
        f'<text x="100" y="280" font-size="16" opacity=".8">{film.year or ""}</text></g></svg>'
    )


def _wrapped(title: str) -> list[str]:
    """Lines of a title; what does not fit ends in an ellipsis."""
    lines = [""]
    for word in title.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > LINE_LENGTH:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    lines = [line if len(line) <= LINE_LENGTH + 4 else f"{line[: LINE_LENGTH + 3]}…" for line in lines]
    return lines if len(lines) <= LINES else [*lines[: LINES - 1], f"{lines[LINES - 1]}…"]
