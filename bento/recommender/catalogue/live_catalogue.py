"""The served films, kept equal to the shared store: films are added, changed and removed, here and by other workers.

A change is stored before it is acknowledged, and then already served by this worker; other workers serve it within
`POLL_INTERVAL_S`. Of two changes at the same time, the second is checked again after the first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import msgspec

from bento.background import Periodic
from bento.recommender.catalogue.film_rows import FilmRows
from bento.recommender.catalogue.new_film_encoder import NewFilmEncoder
from bento.recommender.catalogue.title_search import EXACT, LiveTitles
from bento.recommender.errors import DuplicateFilm, NotEncoded, NotStored, ReleasedFilm, TooManyFilms, UnknownMovie
from bento.release.loading import Release
from bento.stores.errors import StoreUnavailable
from bento.stores.film_records import FILM_LIMIT, UNKNOWN, FilmChange, FilmRecord, FilmVectors, digest_of
from bento.stores.interfaces import FilmStore
from features.catalog import Film
from features.ids import Id

log = logging.getLogger("marquee.films")

POLL_INTERVAL_S = 0.25

TRIES = 20
"""How often a change is tried again because another one came first; each takes milliseconds."""

SAME_TITLE_LIMIT = 50
"""Films of the same title that are compared."""

NOT_STORED = "the film could not be stored, as Redis does not answer; send it again"

T = TypeVar("T")

Check = Callable[[], FilmRecord]
"""Checks the present films and returns the record to store."""


class LiveCatalogue:
    """The catalogue of one release, as this worker serves it."""

    def __init__(self, release: Release, store: FilmStore, encoder: NewFilmEncoder, titles: LiveTitles) -> None:
        self._release = release
        self._titles = titles
        self._store = store
        self._encoder = encoder
        self._rows = FilmRows(release.films)
        self._state = UNKNOWN
        self._turn = asyncio.Lock()
        self._following: Periodic | None = None

    async def start(self) -> None:
        """Serve the films of the store, and follow its changes. Without Redis the release's films are served."""
        try:
            await self.catch_up()
        except StoreUnavailable as error:
            log.info("added films are missing until redis is there: %s", error)
        self._following = Periodic("live-catalogue", self._follow, POLL_INTERVAL_S)

    async def close(self) -> None:
        """Stop following."""
        if self._following is not None:
            await self._following.close()

    def records(self) -> list[FilmRecord]:
        """The records of added, changed and removed films that this worker has read."""
        return self._rows.records()

    async def poster(self, movie_id: Id) -> bytes | None:
        """An added film's poster; None when there is none or Redis is unavailable."""
        try:
            return await self._store.poster(movie_id)
        except StoreUnavailable as error:
            log.debug("a poster is left out: %s", error)
            return None

    async def add(self, film: Film, poster: bytes | None, allow_same_title: bool = False) -> FilmRecord:
        """Add a film, which is served when this returns. Without a movie_id ("") it gets one.

        Raises: DuplicateFilm, TooManyFilms, NotEncoded, NotStored.
        """
        if film.movie_id == "":
            film = replace(film, movie_id=await self._free_movie_id())
        record = FilmRecord(film.movie_id, film, False, digest_of(poster) if poster else "")

        def check() -> FilmRecord:
            self._refuse_used_movie_id(film)
            if len(self._rows.records()) >= FILM_LIMIT:
                raise TooManyFilms(FILM_LIMIT)
            if not allow_same_title:
                self._refuse_same_title(film)
            return record

        check()  # before the encoders are called
        return await self._put(check, poster, await self._encoder.encode(record, poster))

    async def change(self, film: Film, poster: bytes | None, keep_poster: bool) -> FilmRecord:
        """Replace an added film. Raises: UnknownMovie, ReleasedFilm, NotEncoded, NotStored."""
        before = self._added(film.movie_id)
        if keep_poster and before.poster:
            poster = await self._stored(self._store.poster(film.movie_id))
        record = FilmRecord(film.movie_id, film, False, digest_of(poster) if poster else "")

        def check() -> FilmRecord:
            self._added(film.movie_id)
            return record

        return await self._put(check, poster, await self._encoder.encode(record, poster))

    async def set_poster(self, movie_id: Id, poster: bytes) -> FilmRecord:
        """Replace the poster of an added film. Raises: UnknownMovie, ReleasedFilm, NotEncoded, NotStored."""
        film = self._added(movie_id).film
        assert film is not None, "an added film has its fields"
        return await self.change(film, poster, keep_poster=False)

    async def set_hidden(self, movie_id: Id, hidden: bool) -> FilmRecord:
        """Remove a film from every list, or restore it; films of the release, too.

        Does nothing where that is already done. Raises: UnknownMovie, NotStored.
        """

        def check() -> FilmRecord:
            record = self._rows.record_of(movie_id)
            if record is None and not self._rows.is_released(movie_id):
                raise UnknownMovie(movie_id)
            return msgspec.structs.replace(record or FilmRecord(movie_id), hidden=hidden)

        await self._stored(self.catch_up())  # another worker may have just changed it
        record = self._rows.record_of(movie_id)
        if check() == record or (record is None and not hidden):
            return check()
        return await self._put(check, None, None)

    async def catch_up(self) -> None:
        """Apply the changes of the store. Raises: StoreUnavailable."""
        async with self._turn:
            if await self._store.state() == self._state:
                return
            changes = await self._store.changes(self._state)
            if not changes.changes and not self._rows.records():
                self._state = changes.state
                return
            if changes.from_start:
                self._rows.forget_all()
            for change in changes.changes:
                self._rows.put(change.record, await self._vectors(change))
            films = await asyncio.to_thread(self._rows.table, changes.state.revision)
            for live in self._release.lives:
                await asyncio.to_thread(live.prepare, films)
            self._release.films = films
            self._state = changes.state
            log.info("catalogue revision %d: %d films", films.revision, int(films.visible.sum()))

    async def _vectors(self, change: FilmChange) -> FilmVectors | None:
        """A film's vectors, computed when this release's encoders have not encoded it yet."""
        record = change.record
        if change.vectors is not None or record.film is None or self._rows.is_released(record.movie_id):
            return change.vectors
        try:
            poster = await self._store.poster(record.movie_id) if record.poster else None
            vectors = await self._encoder.encode(record, poster)
        except NotEncoded as error:
            log.error("movie_id %s cannot be served: %s", record.movie_id, error)
            return None
        await self._store.store_vectors(record.movie_id, vectors)
        return vectors

    async def _put(self, check: Check, poster: bytes | None, vectors: FilmVectors | None) -> FilmRecord:
        """Store the record that `check` returns for the newest state, and serve it."""
        for _ in range(TRIES):
            await self._stored(self.catch_up())
            record = check()
            if await self._stored(self._store.put(record, vectors, poster, self._state)) is not None:
                await self._stored(self.catch_up())
                return record
        raise NotStored("other changes of the catalogue kept coming first; send it again")

    async def _stored(self, waiting: Awaitable[T]) -> T:
        try:
            return await waiting
        except StoreUnavailable as error:
            raise NotStored(NOT_STORED) from error

    def _added(self, movie_id: Id) -> FilmRecord:
        """The record of an added film that is not removed. Raises: ReleasedFilm, UnknownMovie."""
        if self._rows.is_released(movie_id):
            raise ReleasedFilm(movie_id, self._release.number)
        record = self._rows.record_of(movie_id)
        if record is None or record.hidden:
            raise UnknownMovie(movie_id)
        return record

    async def _free_movie_id(self) -> int:
        """A movie_id that no film has; the store's next one may have been used by a request already."""
        while True:
            movie_id = await self._stored(self._store.new_movie_id())
            if self._rows.record_of(movie_id) is None and not self._rows.is_released(movie_id):
                return movie_id

    def _refuse_used_movie_id(self, film: Film) -> None:
        """The movie_id of a removed film may be used again. Raises: DuplicateFilm."""
        record = self._rows.record_of(film.movie_id)
        if self._rows.is_released(film.movie_id) or (record is not None and not record.hidden):
            raise DuplicateFilm(film.movie_id, f"movie_id {film.movie_id} is in the catalogue already")

    def _refuse_same_title(self, film: Film) -> None:
        """Raises: DuplicateFilm, where a film of that title and year is served."""
        for row, score in self._titles.find(film.title, SAME_TITLE_LIMIT):
            other = self._release.catalog.films[row]
            if score >= EXACT and (other.year == film.year or None in (other.year, film.year)):
                raise DuplicateFilm(other.movie_id, f"{other.title} ({other.year}) is in the catalogue already")

    async def _follow(self) -> None:
        try:
            await self.catch_up()
        except StoreUnavailable as error:
            log.debug("the catalogue is not followed: %s", error)
