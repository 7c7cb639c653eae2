"""The movie_ids of requests, which are numbers or strings of digits, looked up in the catalogue. Pure."""

from __future__ import annotations

from features.catalog import Catalog


def row_of(movie_id: int | str, catalog: Catalog) -> int | None:
    """Row of a film given as a number or as digits; None when the catalogue does not hold it."""
    if isinstance(movie_id, str):
        if not (movie_id.isascii() and movie_id.isdigit()):
            return None
        movie_id = int(movie_id)
    return catalog.row_of(movie_id)
