"""Splits a title of MovieLens into the film's name and year."""

from __future__ import annotations

import re

_YEAR = re.compile(r"\s*\((\d{4})(?:\s*[-–]\s*(?:\d{4})?)?\)\s*$")
_ARTICLES = "The A An La Le Les L' El Los Las Il Lo I Gli Der Die Das Ein Eine Un Une Det Den De".split()
_TRAILING_ARTICLE = re.compile(rf"^(?P<name>[^()]+?), (?P<article>{'|'.join(_ARTICLES)})$")
_BRACKETED = re.compile(r"\(([^()]*)\)")


def split_title(raw: str) -> tuple[str, int | None]:
    """`"Matrix, The (1999)"` → `("The Matrix", 1999)`; a title without a year keeps all its text.

    The year is the last bracket when it holds four digits (`(2006–2007)` counts as 2006). An article at the
    end of the name, or of another name given in brackets, moves to the front.
    """
    text = raw.strip()
    year = None
    if (found := _YEAR.search(text)) and found.start() > 0:
        year, text = int(found.group(1)), text[: found.start()].strip()
    text = _BRACKETED.sub(lambda bracket: f"({_article_first(bracket.group(1))})", text)
    name, bracket, rest = text.partition(" (")
    return _article_first(name) + bracket + rest, year


def _article_first(name: str) -> str:
    """`"Matrix, The"` → `"The Matrix"`; other names come back unchanged."""
    found = _TRAILING_ARTICLE.match(name)
    if not found:
        return name
    gap = "" if found["article"].endswith("'") else " "
    return f"{found['article']}{gap}{found['name']}"
