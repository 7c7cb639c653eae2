"""Errors that a caller of the recommender's own routes reads.

    RecommenderError
    ├── MalformedRequest   400   the body is not JSON
    ├── NotSignedIn        401   nobody knows who is asking
    ├── NotAllowed         403   they may not
    ├── UnknownRoute       404
    ├── UnknownMovie       404
    ├── UnknownTitle       404
    ├── UnknownJob         404
    ├── UnknownExperiment  404
    ├── WrongMethod        405
    ├── CatalogueConflict  409   the catalogue holds something that stands against it
    │   ├── DuplicateFilm
    │   ├── ReleasedFilm
    │   └── TooManyFilms
    ├── NameTaken          409
    ├── BodyTooLarge       413
    ├── InvalidRequest     422   JSON, but a value is missing, of the wrong type or out of bounds
    │   └── UnknownPreset
    ├── TooManyRequests    429
    ├── CannotCheck        503   who is asking cannot be looked up
    ├── NotReady           503   the service is starting or stopping
    ├── NotStored          503   nothing holds what the request wanted kept or forgotten
    ├── NotAvailable       503   what was asked for is in Redis, which does not answer
    └── NotEncoded         503   a film cannot be placed among the others

On the wire every one is `{"success": false, "error": {"code", "message", "detail"}}`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import msgspec


class RecommenderError(Exception):
    """A request that is answered with an error. `str(error)` is the message, `detail` what a program may read."""

    http_status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.detail = detail

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Headers that belong to the error."""
        return ()

    def body(self) -> bytes:
        """The error as JSON."""
        error = {"code": self.code, "message": str(self), "detail": self.detail}
        return msgspec.json.encode({"success": False, "error": error})


class MalformedRequest(RecommenderError):
    """The body cannot be read as JSON."""

    http_status, code = 400, "malformed_request"

    def __init__(self, why: str) -> None:
        super().__init__(f"the body is not valid JSON: {why}", why=why)


class NotSignedIn(RecommenderError):
    """Authentication is on, and nothing or nothing valid says who is asking."""

    http_status, code = 401, "not_signed_in"

    def __init__(self, message: str, why: str = "") -> None:
        """`why`: `invalid_token` where something was sent, as RFC 6750 says it."""
        super().__init__(message)
        self._why = why

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        why = f', error="{self._why}"' if self._why else ""
        return ((b"www-authenticate", f'Bearer realm="marquee"{why}'.encode()),)


class NotAllowed(RecommenderError):
    """Whoever asks may not."""

    http_status, code = 403, "not_allowed"


class FromAnotherSite(RecommenderError):
    """A page of some other site had its reader's browser send this."""

    http_status, code = 403, "cross_site"

    def __init__(self) -> None:
        super().__init__("a page of another site may not send this; use this server's own page or a program")


class NameTaken(RecommenderError):
    """Somebody else has this name, or is known by it."""

    http_status, code = 409, "name_taken"

    def __init__(self, user_id: str) -> None:
        super().__init__(
            f"{_shorten(user_id)!r} is taken; choose another name, or let an admin make the account",
            user_id=_shorten(user_id),
        )


class TooManyRequests(RecommenderError):
    """More requests a minute than are theirs."""

    http_status, code = 429, "too_many_requests"

    def __init__(self, per_minute: int, wait_s: float) -> None:
        self._wait_s = math.ceil(wait_s)
        super().__init__(
            f"more than {per_minute} requests a minute; come back in {self._wait_s} s",
            per_minute=per_minute,
            retry_after_s=self._wait_s,
        )

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"retry-after", str(self._wait_s).encode()),)


class CannotCheck(RecommenderError):
    """Redis does not answer, and this key was not seen lately."""

    http_status, code = 503, "cannot_check"

    def __init__(self) -> None:
        super().__init__("the API key cannot be looked up at the moment, as Redis does not answer; try again")

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"retry-after", b"1"),)


class InvalidRequest(RecommenderError):
    """A value of the request cannot be used."""

    http_status, code = 422, "invalid_request"

    def __init__(self, field: str, why: str, value: Any = None) -> None:
        shown = _shorten(value)
        super().__init__(
            f"{field}: {why}" if value is None else f"{field}: {why}, got {_quoted(shown)}", field=field, value=shown
        )


class UnknownPreset(InvalidRequest):
    """No such preset of fusion weights."""

    code = "unknown_preset"

    def __init__(self, preset: str, known: Iterable[str]) -> None:
        super().__init__("preset", f"expected one of {', '.join(sorted(known)) or '(the release has none)'}", preset)


class UnknownRoute(RecommenderError):
    """Nothing is served at this path."""

    http_status, code = 404, "unknown_route"

    def __init__(self, path: str) -> None:
        super().__init__(f"nothing is served at {_shorten(path)}; /docs lists the routes", path=_shorten(path))


class UnknownMovie(RecommenderError):
    """The catalogue does not hold the film."""

    http_status, code = 404, "unknown_movie"

    def __init__(self, movie_id: int | str) -> None:
        super().__init__(f"movie_id {_shorten(movie_id)} is not in the catalogue", movie_id=_shorten(movie_id))


class UnknownTitle(RecommenderError):
    """No film has a title like this."""

    http_status, code = 404, "unknown_title"

    def __init__(self, title: str) -> None:
        super().__init__(f"no film has a title like {_shorten(title)!r}; /search finds films", title=_shorten(title))


class UnknownJob(RecommenderError):
    """No such job, or it was put more than a week ago."""

    http_status, code = 404, "unknown_job"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {_shorten(job_id)!r}; jobs are kept for a week", job_id=_shorten(job_id))


class WrongMethod(RecommenderError):
    """The path exists, but not with this method."""

    http_status, code = 405, "wrong_method"

    def __init__(self, method: str, allowed: Iterable[str]) -> None:
        self.allowed = sorted(allowed)
        super().__init__(f"{method} is not allowed here, use {' or '.join(self.allowed)}", allowed=self.allowed)

    def headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return ((b"allow", ", ".join(self.allowed).encode()),)


class CatalogueConflict(RecommenderError):
    """The catalogue holds something that stands against the change."""

    http_status, code = 409, "catalogue_conflict"


class DuplicateFilm(CatalogueConflict):
    """The film is there already."""

    code = "duplicate_film"

    def __init__(self, movie_id: int, why: str) -> None:
        super().__init__(f"{why}; if it is another film, say allow_same_title", movie_id=movie_id)


class ReleasedFilm(CatalogueConflict):
    """The film belongs to the release, whose models have learnt it as it is."""

    code = "released_film"

    def __init__(self, movie_id: int, release: int) -> None:
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


class BodyTooLarge(RecommenderError):
    """The body exceeds MAX_BODY_BYTES."""

    http_status, code = 413, "body_too_large"

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"the body is larger than {limit_bytes} bytes", limit_bytes=limit_bytes)


class NotReady(RecommenderError):
    """The service is starting or stopping."""

    http_status, code = 503, "not_ready"

    def __init__(self) -> None:
        super().__init__("the service is not ready")


class NotStored(RecommenderError):
    """Nothing holds what the request wanted kept or forgotten, so it is not acknowledged."""

    http_status, code = 503, "not_stored"

    def __init__(
        self, message: str = "the event could not be stored; send it again with the same Idempotency-Key"
    ) -> None:
        super().__init__(message)


class NotAvailable(RecommenderError):
    """What was asked for is in Redis, which does not answer."""

    http_status, code = 503, "not_available"

    def __init__(self, message: str) -> None:
        super().__init__(message)


class UnknownExperiment(RecommenderError):
    """No experiment of this name runs."""

    http_status, code = 404, "unknown_experiment"

    def __init__(self, name: str, running: Iterable[str]) -> None:
        known = ", ".join(running) or "(EXPERIMENTS names none)"
        super().__init__(f"no experiment {_shorten(name)} runs, expected one of {known}", name=_shorten(name))


class NotEncoded(RecommenderError):
    """The encoders cannot place the film among the others."""

    http_status, code = 503, "not_encoded"

    def __init__(self, why: str) -> None:
        super().__init__(f"the film could not be encoded: {why}", why=why)


SHOWN_CHARACTERS = 80


def _shorten(value: Any) -> Any:
    """A value as it may be repeated in an error: never longer than a line."""
    if value is None or isinstance(value, bool | float):
        return value
    text = (
        value
        if isinstance(value, str)
        else str(value)
        if not isinstance(value, int) or abs(value) < 2**63
        else "a huge number"
    )
    if isinstance(value, int) and text != "a huge number":
        return value
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def _quoted(shown: Any) -> str:
    """A value in a message: text in quotes, so that "5" is told from 5 and nothing from something."""
    return f'"{shown}"' if isinstance(shown, str) and not shown.startswith("{") else str(shown)
