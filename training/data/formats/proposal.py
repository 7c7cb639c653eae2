"""Looks at files and proposes their `DataFormat`, with the doubts that only their owner can settle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from training.data.errors import DataNotFound, MissingColumns
from training.data.files import DataFiles, is_table
from training.data.formats.column_names import EVENT_FILES, IGNORED_FILES, ITEM_FILES, ITEM_ROLES, find, plain
from training.data.formats.data_format import OWN_COLUMNS, DataFormat, EventFormat, ItemFormat
from training.data.formats.samples import Sample, sample_of, samples_of
from training.data.formats.units import scale_of, share, time_unit_of
from training.data.formats.values import SCALE_WORDS, UNIT_WORDS
from training.data.layouts.raw_tables import RATING_COLUMNS

_MOVIELENS_FILES = ("ratings.csv", "movies.csv")
_MOVIE_COLUMNS = ("movieId", "title", "genres")
_ENOUGH_ROWS = 20
"""Below this many rows units and scales of files in MovieLens' columns are not doubted."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """How a data set can be read."""

    format: DataFormat
    doubts: tuple[str, ...]
    """What the files do not say; empty where they can be read in one way only."""

    def sentence(self) -> str:
        """What was taken for what, in one line."""
        events, items = self.format.events, self.format.items
        rating = f"{events.rating} as {SCALE_WORDS[events.scale]}" if events.rating else "no rating (implicit data)"
        unit = UNIT_WORDS.get(events.time_unit, events.time_unit)
        time = f"{events.time} in {unit}" if events.time else "no time (order of rows)"
        parts = [f"{events.file}: {events.user or events.person} as people, {events.item} as items, {rating}, {time}"]
        if items:
            named = [f"{role} {column}" for role in ITEM_ROLES if (column := getattr(items, role))]
            parts.append(f"{items.file}: {', '.join([items.item + ' as items', *named])}")
        known = "" if self.format.shape == OWN_COLUMNS else f"{self.format.shape} ("
        return f"{known}{'; '.join(parts)}{')' * bool(known)}"


def is_movielens(files: DataFiles) -> bool:
    """Whether the files are MovieLens' own, columns, units and scale included; older layouts by their names alone."""
    if not files.names.issuperset(_MOVIELENS_FILES):
        return bool(
            files.names.issuperset(("movies.dat", "ratings.dat")) or files.names.issuperset(("u.item", "u.data"))
        )
    ratings, movies = (sample_of(files, name) for name in _MOVIELENS_FILES)
    if ratings is None or movies is None or ratings.named_twice or movies.named_twice:
        return True  # its reader says what is wrong
    if ratings.encoding == "utf-16" or movies.encoding == "utf-16":
        return False
    if not set(ratings.columns).issuperset(RATING_COLUMNS) or not set(movies.columns).issuperset(_MOVIE_COLUMNS):
        return False
    if ratings.separator != "," or movies.separator != ",":
        return False
    if ratings.frame.height < _ENOUGH_ROWS:
        return True
    scale, _, _ = scale_of(ratings.values("rating"), "rating")
    times = ratings.values("timestamp")
    whole_numbers = share(times.str.contains(r"^-?\d+$"))
    return scale == "5" and (
        time_unit_of(times)[0] in ("s", "order") and whole_numbers > 0.5 and not times.str.contains(r"^0$").all()
    )


def propose(files: DataFiles, given: Mapping[str, Any] | None = None) -> Proposal:
    """The most likely description; `given` are fields of EventFormat that their owner knows.

    Raises: DataNotFound when no file can hold events, MissingColumns when it lacks a given one.
    """
    given = given or {}
    names = [
        name
        for name in sorted(files.names)
        if (is_table(name) and name.split(".")[0].lower() not in IGNORED_FILES) or name == given.get("file")
    ]
    samples = [part for name in names for part in samples_of(files, name, given.get("separator"), given.get("header"))]
    doubts: list[str] = []
    events = _event_sample(samples, given, doubts)
    if events is None:
        raise DataNotFound(files.name, files.names)
    columns = [given[role] for role in ("user", "item", "rating", "time") if given.get(role)]
    if missing := [column for column in columns if column not in events.columns]:
        raise MissingColumns(events.file, missing, events.columns, "Give the names of columns that it has")
    described = _events(events, samples, given, doubts)
    items = _items(events, described, samples)
    doubts += [f"{events.file} has two columns called {name}" for name in events.named_twice]
    doubts += [
        f"{table.file} is not UTF-8: its text is taken for Latin-1 (encoding)"
        for table in (described, items)
        if table is not None and table.encoding == "latin-1"
    ]
    return Proposal(DataFormat(shape=shape_of(events), events=described, items=items), tuple(doubts))


def shape_of(events: Sample) -> str:
    """Whose files these are, by what only they have."""
    names = set(map(plain, events.columns))
    if events.only:
        return "metarank"
    if any(":token" in column for column in events.columns):
        return "RecBole"
    if "asin" in names and ("reviewerid" in names or {"parentasin", "userid"} <= names):
        return "Amazon Reviews"
    if "letterboxduri" in names:
        return "Letterboxd"
    return "gorse" if "feedbacktype" in names else OWN_COLUMNS


def _event_sample(samples: Sequence[Sample], given: Mapping[str, Any], doubts: list[str]) -> Sample | None:
    """The table that holds events: of several, the one whose file is called so, else the largest."""
    if given.get("file"):
        return next((sample for sample in samples if sample.file == given["file"]), None)
    able = [s for s in samples if find("user", s.columns) and find("item", s.columns)]
    if not able:
        able = [s for s in samples if not s.header or find("item", s.columns)]
        able = [s for s in able if len(s.columns) > 1 and s.stem not in ITEM_FILES]
    if not able:
        able = [s for s in samples if s.stem in EVENT_FILES and len(s.columns) > 1]
    if not able:
        return None
    best = min(able, key=_event_rank)
    if rivals := [s.file for s in able if s is not best and _event_rank(s)[:2] == _event_rank(best)[:2]]:
        doubts.append(f"events may be in {best.file} or in {', '.join(rivals)} (file)")
    return best


def _event_rank(sample: Sample) -> tuple[int, int, int]:
    named = EVENT_FILES.index(sample.stem) if sample.stem in EVENT_FILES else len(EVENT_FILES)
    roles = sum(find(role, sample.columns) is not None for role in ("rating", "count", "time"))
    return named, -roles, -sample.frame.height


def _events(sample: Sample, samples: Sequence[Sample], given: Mapping[str, Any], doubts: list[str]) -> EventFormat:
    named = {role: given.get(role) or find(role, sample.columns) for role in ("user", "item", "rating", "time")}
    count = find("count", [column for column in sample.columns if column not in named.values()])
    named["rating"] = named["rating"] or count
    person = "" if named["user"] or not named["item"] else _owner(named["item"], samples, sample)
    if not person and not (named["user"] and named["item"]):
        named = _by_content(sample, samples, named, doubts)
    fields: dict[str, Any] = {**dialect(sample), "user": named["user"], "item": named["item"], "person": person}
    if named["rating"]:
        scale, comma, doubt = scale_of(sample.values(named["rating"]), named["rating"])
        fields |= {"rating": named["rating"], "scale": given.get("scale") or scale, "decimal_comma": comma}
        if doubt and not given.get("scale"):
            doubts.append(f"{named['rating']} of {sample.file} {doubt} (scale)")
    if named["time"]:
        unit, doubt = time_unit_of(sample.values(named["time"]))
        if unit or given.get("time_unit"):
            fields |= {"time": named["time"], "time_unit": given.get("time_unit") or unit}
        if doubt and not given.get("time_unit"):
            doubts.append(f"{named['time']} of {sample.file} {doubt} (time_unit)")
    return EventFormat(**fields)


def _owner(item: str, samples: Sequence[Sample], events: Sample) -> str:
    """The person whose export this is; empty where the file is not one of Letterboxd's, which hold one person's."""
    if plain(item) != "letterboxduri":
        return ""
    profile = next((s for s in samples if s.stem == "profile" and "Username" in s.columns), None)
    return str(profile.values("Username")[0]) if profile else "owner of the export"


def dialect(sample: Sample) -> dict[str, Any]:
    """The fields of a TableFormat that say how the file is written."""
    return {
        "file": sample.file, "separator": sample.separator, "header": sample.header, "encoding": sample.encoding,
        "named_values": sample.named_values, "only": sample.only,
    }  # fmt: skip


def _by_content(
    sample: Sample, samples: Sequence[Sample], named: dict[str, str | None], doubts: list[str]
) -> dict[str, str | None]:
    """Roles of columns without a telling name: people, items, rating and time in that order, times by their size."""
    free = [column for column in sample.columns if column not in named.values()]
    if not sample.header and not named["time"]:
        named["time"] = next((column for column in reversed(free) if _is_time(sample.values(column))), None)
        free = [column for column in free if column != named["time"]]
    ids = [column for column in (named["user"], named["item"]) if column] + free
    if len(ids) < 2:
        doubts.append(f"nothing says which columns of {sample.file} are people and items (user, item)")
        return {**named, "user": named["user"] or sample.columns[0], "item": named["item"] or sample.columns[-1]}
    user, item = named["user"] or free[0], named["item"] or (free[0] if named["user"] else free[1])
    proof = None if named["user"] or named["item"] else _item_column(sample, samples, free[:2])
    if proof is None:
        doubts.append(f"{user} of {sample.file} may be people and {item} items, or something else (user, item)")
    elif proof == user:
        user, item = item, user
    rest = [column for column in free if column not in (user, item)]
    if not named["rating"] and not sample.header and rest and _is_number(sample.values(rest[0])):
        named["rating"] = rest[0]
    return {**named, "user": user, "item": item}


def _item_column(sample: Sample, samples: Sequence[Sample], columns: Sequence[str]) -> str | None:
    """The column all of whose ids an item table knows, where it knows not all of the other's."""
    for other in samples:
        if other is sample or not other.whole or (known := _item_id(other)) is None:
            continue
        ids = other.values(known)
        shares = [share(sample.values(column).is_in(ids.implode())) for column in columns]
        complete = [column for column, share in zip(columns, shares, strict=True) if share > 0.99]
        if len(complete) == 1:
            return complete[0]
    return None


def _is_time(values: pl.Series) -> bool:
    unit, doubt = time_unit_of(values)
    return bool(unit) and unit != "order" and doubt is None


def _is_number(values: pl.Series) -> bool:
    return bool(values.cast(pl.Float64, strict=False).is_not_null().all())


def _item_id(sample: Sample, like: str | None = None) -> str | None:
    """The column of an item table that holds ids: the one called as in the events, else by its name."""
    if like and (same := next((column for column in sample.columns if plain(column) == plain(like)), None)):
        return same
    by_id = next((column for column in sample.columns if plain(column) == "id"), None)
    return find("item", sample.columns) or by_id


def _items(events: Sample, described: EventFormat, samples: Sequence[Sample]) -> ItemFormat | None:
    """The item table, or the events' own file where it names its items; None where neither is."""
    able = [
        sample
        for sample in samples
        if sample is not events
        and plain(described.item) != "letterboxduri"  # its other files are lists of the same films
        and (item := _item_id(sample, described.item)) is not None
        and find("user", [column for column in sample.columns if plain(column) != "author"]) is None
        and any(find(role, [column for column in sample.columns if column != item]) for role in ITEM_ROLES)
    ]
    if able:
        best = min(able, key=lambda s: (s.stem not in ITEM_FILES, -s.frame.height))
        item = _item_id(best, described.item)
        assert item is not None
        return _item_format(best, item, best.columns)
    used = {described.item, described.user, described.rating, described.time}
    free = [column for column in events.columns if column not in used and column != find("country", [column])]
    own = free if described.person else [column for column in free if _depends(events, column, described.item)]
    return _item_format(events, described.item, own) if find("title", own) else None


def _depends(sample: Sample, column: str, item: str) -> bool:
    """Whether each item has one value of the column, and items occur often enough for that to say something."""
    pairs = sample.frame.select(item, column).drop_nulls()
    items = pairs[item].n_unique()
    return items < pairs.height and pairs.unique().height <= 1.01 * items


def _item_format(sample: Sample, item: str, columns: Sequence[str]) -> ItemFormat:
    free = [column for column in columns if column != item]
    fields: dict[str, Any] = {**dialect(sample), "item": item}
    for role in ITEM_ROLES:
        if (column := find(role, free)) is not None and sample.values(column).len():
            fields[role] = column
            free.remove(column)
    if "genres" in fields:
        fields["genre_separator"] = genre_separator(sample, fields["genres"])
    return ItemFormat(**fields)


def genre_separator(sample: Sample, column: str) -> str:
    """What stands between the genres of a column."""
    if column.endswith(":token_seq"):
        return " "
    values = sample.values(column)
    if share(values.str.contains(r"^\[.*\]$")) > 0.5:
        return "list"
    for separator in ("|", ";", ",", "/"):
        if share(values.str.contains(separator, literal=True)) > 0.1:
            return separator
    return "|"
