"""Errors of the recommender.

HttpError
├── UnknownMovie       404
├── UnknownTitle       404
├── UnknownJob         404
├── UnknownExperiment  404
├── CatalogueConflict  409   the catalogue holds something that stands against it
│   ├── DuplicateFilm
│   ├── ReleasedFilm
│   └── TooManyFilms
├── InvalidRequest     422
│   └── UnknownPreset
├── NotStored          503   nothing holds what the request wanted kept or forgotten
├── NotAvailable       503   what was asked for is in Redis, which does not answer
└── NotEncoded         503   a film cannot be placed among the others
"""

from __future__ import annotations

from collections.abc import Iterable

from bento.http.errors import HttpError, InvalidRequest, shortened
from features.ids import Id


class UnknownPreset(InvalidRequest):
    """No such preset of fusion weights."""

    code = "unknown_preset"

    def __init__(self, preset: str, known: Iterable[str]) -> None:
        super().__init__("preset", f"expected one of {', '.join(sorted(known)) or '(the release has none)'}", preset)


class UnknownMovie(HttpError):
    """The catalogue does not hold the film."""

    http_status, code = 404, "unknown_movie"

    def __init__(self, movie_id: int | str) -> None:
        super().__init__(f"movie_id {shortened(movie_id)} is not in the catalogue", movie_id=shortened(movie_id))


class UnknownTitle(HttpError):
    """No film has a title like this."""

    http_status, code = 404, "unknown_title"

    def __init__(self, title: str) -> None:
        super().__init__(f"no film has a title like {shortened(title)!r}; /search finds films", title=shortened(title))


class UnknownJob(HttpError):
    """No such job, or it was put more than a week ago."""

    http_status, code = 404, "unknown_job"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {shortened(job_id)!r}; jobs are kept for a week", job_id=shortened(job_id))


class CatalogueConflict(HttpError):
    """The catalogue holds something that stands against the change."""

    http_status, code = 409, "catalogue_conflict"


class DuplicateFilm(CatalogueConflict):
    """The film is there already."""

    code = "duplicate_film"

    def __init__(self, movie_id: Id, why: str) -> None:
        super().__init__(f"{why}; if it is another film, say allow_same_title", movie_id=movie_id)


class ReleasedFilm(CatalogueConflict):
    """The film belongs to the release, whose models have learnt it as it is."""

    code = "released_film"

    def __init__(self, movie_id: Id, release: int) -> None:
        super().__init__(
            f"movie_id {movie_id} belongs to release {release}: it can be removed, but is changed in the data, "
            "for the next release",
            movie_id=movie_id,
            release=release,
        )


class TooManyFilms(CatalogueConflict):
    """A new release is due."""

    code = "too_many_films"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} films were added already: make a release that holds them", limit=limit)


class NotStored(HttpError):
    """Nothing holds what the request wanted kept or forgotten, so it is not acknowledged."""

    http_status, code = 503, "not_stored"

    def __init__(
        self, message: str = "the event could not be stored; send it again with the same Idempotency-Key"
    ) -> None:
        super().__init__(message)


class NotAvailable(HttpError):
    """What was asked for is in Redis, which does not answer."""

    http_status, code = 503, "not_available"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class UnknownExperiment(HttpError):
    """No experiment of this name runs."""

    http_status, code = 404, "unknown_experiment"

    def __init__(self, name: str, running: Iterable[str]) -> None:
        known = ", ".join(running) or "(EXPERIMENTS names none)"
        super().__init__(f"no experiment {shortened(name)} runs, expected one of {known}", name=shortened(name))


class NotEncoded(HttpError):
    """The encoders cannot place the film among the others."""

    http_status, code = 503, "not_encoded"

    def __init__(self, why: str) -> None:
        super().__init__(f"the film could not be encoded: {why}", why=why)
