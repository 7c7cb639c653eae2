"""Guesses the scale of ratings and the unit of times from values, and says where values alone do not tell."""

from __future__ import annotations

import polars as pl

from training.data.formats.column_names import KNOWN_NAMES, plain
from training.data.formats.data_format import Scale
from training.data.formats.values import iso_seconds, number

_NEARLY_ALL = 0.95
_MANY = 0.4
_SMALLEST = {"ns": 1e17, "us": 1e14, "ms": 1e11, "s": 1e8}
"""Times of a unit are above this: 1973 in seconds, milliseconds, microseconds, nanoseconds."""
_DATES = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")


def scale_of(values: pl.Series, name: str) -> tuple[Scale, bool, str | None]:
    """Scale, whether decimals are written with a comma, and what is not certain about it."""
    comma = bool(values.str.contains(r"^-?\d+,\d+$").any()) and not bool(values.str.contains(".", literal=True).any())
    numbers = values.to_frame("v").select(number(pl.col("v"), comma)).to_series().drop_nulls()
    if numbers.is_empty():
        return "5", comma, "holds no number" if len(values) else None
    if plain(name) in KNOWN_NAMES["count"]:
        return "counts", comma, None
    return _of_numbers(numbers, comma)


def share(flags: pl.Series) -> float:
    """Share of true ones, 0 to 1; 0 of none."""
    return int(flags.sum()) / max(len(flags), 1)


def _of_numbers(numbers: pl.Series, comma: bool) -> tuple[Scale, bool, str | None]:
    distinct = set(numbers.unique().head(10).to_list())
    if distinct == {1.0}:
        return "counts", comma, None
    if distinct <= {0.0, 1.0}:
        return "0/1", comma, None
    if distinct <= {-1.0, 0.0, 1.0}:
        return "-1/1", comma, None
    whole = bool((numbers == numbers.floor()).all())
    numbers = numbers.filter(numbers != -1)  # on a scale of points: no rating was given
    scales: tuple[tuple[Scale, float], ...] = (("5", 5), ("10", 10), ("100", 100))
    for scale, highest in scales:
        if share(numbers.is_between(0, highest)) >= _NEARLY_ALL:
            often = whole and scale != "5" and share(numbers == 1) > _MANY
            doubt = f"may be points up to {highest:.0f} or counts" if often else None
            return scale, comma, doubt
    if whole and share(numbers >= 0) >= _NEARLY_ALL:
        return "counts", comma, None
    return "100", comma, f"is on no known scale: {min(numbers.to_list()):g} to {max(numbers.to_list()):g}"


def time_unit_of(values: pl.Series) -> tuple[str | None, str | None]:
    """Unit, and what is not certain about it; None as the unit where the column says nothing."""
    if values.is_empty():
        return None, None
    frame = values.to_frame("v")
    numbers = frame.select(number(pl.col("v"))).to_series()
    if share(numbers.is_not_null()) >= 0.5:
        return _of_size(numbers.drop_nulls())
    if float(frame.select(iso_seconds(pl.col("v")).is_not_null().mean()).item()) >= _NEARLY_ALL:
        return "iso", None
    fitting = [
        date + clock for date in _DATES for clock in _CLOCKS if _fits(frame, date + clock)
    ]  # fmt: skip
    if not fitting:
        return "iso", f"is no time that is known, such as {values[0]!r}"
    doubt = f"such as {values[0]!r} may be {' or '.join(fitting)}" if len(fitting) > 1 else None
    return fitting[0], doubt


def _of_size(numbers: pl.Series) -> tuple[str | None, str | None]:
    if bool((numbers == 0).all()):
        return None, None
    middle = abs(float(numbers.median() or 0))  # type: ignore[arg-type]
    return next((unit for unit, smallest in _SMALLEST.items() if middle >= smallest), "order"), None


def _fits(frame: pl.DataFrame, pattern: str) -> bool:
    column = pl.col("v").str.strip_chars()
    if "%H" in pattern or "%I" in pattern:
        parsed = column.str.to_datetime(pattern, strict=False, time_unit="us")
    else:
        parsed = column.str.to_date(pattern, strict=False).cast(pl.Datetime("us"))
    return float(frame.select(parsed.is_not_null().mean()).item()) >= _NEARLY_ALL
