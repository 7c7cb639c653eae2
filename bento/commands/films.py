"""`python -m bento films`: films that were added while serving, carried into the data of the next release."""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer

from bento.release.loading import NoRelease, ReleaseError, read_manifest
from bento.settings import Settings, WrongSetting
from bento.stores.connection.opening import open_redis
from bento.stores.errors import StoreUnavailable
from bento.stores.film_records import UNKNOWN
from bento.stores.redis_films import RedisFilmStore
from features.catalog import Film
from features.ids import Id, id_of
from features.release_manifest import MANIFEST

app = typer.Typer(no_args_is_help=True, help="Films that were added since the release (POST /admin/movies).")

TIMEOUT_S = 10.0
NO_GENRES = "(no genres listed)"
METADATA_COLUMNS = ("movieId", "overview", "cast", "director", "country")


@app.callback()
def films() -> None:
    """Films that were added since the release."""


@dataclass(frozen=True, slots=True)
class AddedFilm:
    """One film with its poster."""

    film: Film
    poster: bytes | None


@app.command("export")
def export_command(
    data: Annotated[Path, typer.Argument(help="Folder in MovieLens' format, with movies.csv; it is added to.")],
) -> None:
    """Write added films into a data folder, so that the next release is trained with them.

    movies.csv, metadata.csv and posters/ get what they do not hold yet; nothing is changed or taken away. A release
    that holds the films serves its own. For example:

    python -m bento films export ml-latest-small && DATA=ml-latest-small make serve
    """
    try:
        settings = Settings.from_env(os.environ)
        added = asyncio.run(added_films(settings))
        written = append_films(data, added)
    except (WrongSetting, ReleaseError, StoreUnavailable, OSError) as error:
        typer.echo(f"films export: {error}", err=True)
        raise typer.Exit(1) from error
    print(f"{written} of {len(added)} added films are new to {data}")


async def added_films(settings: Settings) -> list[AddedFilm]:
    """All that are not removed, in the order in which they were changed last.

    Raises: ReleaseError, StoreUnavailable.
    """
    manifest = read_manifest(settings.model_repository)
    number = settings.release or manifest.current
    release = None if number is None else manifest.releases.get(number)
    if release is None:
        raise NoRelease(settings.model_repository, f"release {number} is not in {MANIFEST}")
    name = release.data.name
    async with open_redis(settings, timeout_s=TIMEOUT_S) as link:
        store = RedisFilmStore(link, f"marquee:{name}", "export")
        records = [change.record for change in (await store.changes(UNKNOWN)).changes]
        return [
            AddedFilm(record.film, await store.poster(record.movie_id) if record.poster else None)
            for record in records
            if record.film is not None and not record.hidden
        ]


def append_films(data: Path, added: Iterable[AddedFilm]) -> int:
    """Add films to a data folder; how many it did not hold. Raises: OSError, where there is no movies.csv."""
    movies, metadata = data / "movies.csv", data / "metadata.csv"
    new = [one for one in added if one.film.movie_id not in _movie_ids(movies)]
    if not new:
        return 0
    _append(movies, [(one.film.movie_id, _title(one.film), "|".join(one.film.genres) or NO_GENRES) for one in new])
    if not metadata.exists():
        _append(metadata, [METADATA_COLUMNS])
    with_metadata = _movie_ids(metadata)
    _append(metadata, [_metadata(one.film) for one in new if one.film.movie_id not in with_metadata])
    for one in new:
        if one.poster is not None:
            (data / "posters").mkdir(exist_ok=True)
            (data / "posters" / f"{one.film.movie_id}.jpg").write_bytes(one.poster)
    return len(new)


def _movie_ids(table: Path) -> set[Id]:
    with table.open(newline="", encoding="utf-8") as file:
        return {id_of(row[0].strip()) for row in csv.reader(file) if row}


def _append(table: Path, rows: Iterable[Iterable[object]]) -> None:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    with table.open("ab+") as file:
        whole = file.tell() == 0
        if not whole:
            file.seek(-1, os.SEEK_END)
            whole = file.read(1) == b"\n"
        file.write((b"" if whole else b"\n") + text.getvalue().encode())


def _title(film: Film) -> str:
    return film.title if film.year is None else f"{film.title} ({film.year})"


def _metadata(film: Film) -> tuple[object, ...]:
    return film.movie_id, film.overview, "|".join(film.cast), film.director, film.country
