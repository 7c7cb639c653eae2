"""Ratings on any scale as stars, and times in any unit as seconds: expressions over columns of text."""

from __future__ import annotations

import polars as pl

from features.thresholds import MAX_STARS, MIN_STARS

LIKE_STARS, DISLIKE_STARS = 5.0, 1.0
"""Stars of a like and of a dislike, on scales that have but these two."""

UNRATED = 0.0

_DIVISORS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000, "order": 1}
_HIGHEST = {"5": 5.0, "10": 10.0, "100": 100.0}
_ISO_FORMATS = (
    "%Y-%m-%d %H:%M:%S%.f%z",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M%z",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
)

SCALE_WORDS = {
    "5": "5 stars", "10": "10 points", "100": "100 points", "0/1": "likes (1) and dislikes (0)",
    "-1/1": "likes (1) and dislikes (-1)", "counts": "counts",
}  # fmt: skip
UNIT_WORDS = {
    "s": "seconds since 1970", "ms": "milliseconds since 1970", "us": "microseconds since 1970",
    "ns": "nanoseconds since 1970", "iso": "ISO 8601 text", "order": "a number that only orders",
}  # fmt: skip


def number(text: pl.Expr, decimal_comma: bool = False) -> pl.Expr:
    """Text as a float; `true` and `false` are 1 and 0; null where it is no finite number."""
    text = text.str.strip_chars()
    if decimal_comma:
        text = text.str.replace(",", ".", literal=True)
    words = pl.when(text.str.to_lowercase() == "true").then(pl.lit("1")).when(text.str.to_lowercase() == "false")
    value = words.then(pl.lit("0")).otherwise(text).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)


def stars(text: pl.Expr, scale: str, decimal_comma: bool = False) -> pl.Expr:
    """Ratings as 0.5 to 5 stars, 0 where there is a view but no rating, null where it is not on the scale.

    On the scales of 5, 10 and 100 a 0 or -1 says that no rating was given; counts say how often, never how much.
    """
    value = number(text, decimal_comma)
    if scale == "counts":
        return pl.when(value > 0).then(pl.lit(UNRATED)).cast(pl.Float32)
    if scale == "0/1":
        known = pl.when(value == 1).then(LIKE_STARS).when(value == 0).then(DISLIKE_STARS)
        return known.cast(pl.Float32)
    if scale == "-1/1":
        known = pl.when(value == 1).then(LIKE_STARS).when(value == -1).then(DISLIKE_STARS)
        return known.when(value == 0).then(UNRATED).cast(pl.Float32)
    highest = _HIGHEST[scale]
    scaled = (value * (MAX_STARS / highest)).clip(lower_bound=MIN_STARS)
    inside = pl.when(value.is_in([0.0, -1.0])).then(UNRATED).when((value > 0) & (value <= highest)).then(scaled)
    return inside.cast(pl.Float32)


def timestamps_s(text: pl.Expr, unit: str) -> pl.Expr:
    """Times as whole seconds since 1970 (of `order`: the number itself), null where the text is not in the unit."""
    if unit in _DIVISORS:
        return (number(text) / _DIVISORS[unit]).floor().cast(pl.Int64, strict=False)
    if unit == "iso":
        return iso_seconds(text)
    return _parsed(text.str.strip_chars(), unit)


def iso_seconds(text: pl.Expr) -> pl.Expr:
    """Seconds of ISO 8601 text, with a zone or in UTC; null where it is none."""
    plain = (
        text.str.strip_chars()
        .str.replace(r"^(\d{4}-\d\d-\d\d)[Tt]", "$1 ")
        .str.replace(r" ([+-]\d\d:?\d\d)(?: [A-Z]{2,4})?$", "$1")  # Go writes 10:00:00 +0000 UTC
        .str.replace(r" ?(Z|z|UTC)$", "+00:00")
    )
    return pl.coalesce(_parsed(plain, pattern) for pattern in _ISO_FORMATS)


def _parsed(text: pl.Expr, pattern: str) -> pl.Expr:
    """Seconds of text in a strptime pattern; a pattern without hours means midnight."""
    if any(part in pattern for part in ("%H", "%I", "%T", "%R")):
        return text.str.to_datetime(pattern, time_unit="us", strict=False).dt.epoch("s")
    return text.str.to_date(pattern, strict=False).cast(pl.Datetime("us")).dt.epoch("s")
