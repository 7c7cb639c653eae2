"""Small worlds whose right answer is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.catalog import Catalog, Film
from training.content.projection import fit_projection
from training.content.vectors import ContentVectors
from training.data.dataset import Dataset, Events
from training.data.read_report import ReadReport

Columns = list[tuple[int, int, float, int]]
"""(user_row, item_row, rating, timestamp_s) of each event."""

START_S = 1_000_000_000


def events_of(rows: Columns) -> Events:
    users, items, ratings, stamps = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Events(
        np.array(users, dtype=np.int32), np.array(items, dtype=np.int32), np.array(ratings, dtype=np.float32),
        np.array(stamps, dtype=np.int64),
    )  # fmt: skip


def world(events: Events, n_items: int, name: str = "world", genres: npt.NDArray[np.str_] | None = None) -> Dataset:
    names = genres if genres is not None else np.full(n_items, "Drama")
    films = [Film(row + 1, f"Film {row}", 2000, (str(names[row]),)) for row in range(n_items)]
    return Dataset(
        name=name, fingerprint="0" * 64, simulated=True, catalog=Catalog(films),
        user_ids=tuple(str(user) for user in range(int(events.user_rows.max()) + 1)), events=events, poster_paths={},
        report=ReadReport(layout="world", tables=(), posters_without_film=0),
    )  # fmt: skip


def no_content(n_items: int) -> ContentVectors:
    """Films of which no text and no poster is known."""
    text, poster = np.zeros((n_items, 384), dtype=np.float32), np.zeros((n_items, 2048), dtype=np.float32)
    return ContentVectors(
        text=text, text_present=np.zeros(n_items, dtype=np.bool_), poster=poster,
        poster_present=np.zeros(n_items, dtype=np.bool_), text_pca=fit_projection(text[:0], 128),
        poster_pca=fit_projection(poster[:0], 64), tokenizer_json=b"{}", text_encoder_folder=None, image_encoder=None,
        poster_size=0, poster_weights="none: no posters",
    )  # fmt: skip


def checkerboard(n_people: int = 60, n_items: int = 40, seed: int = 0) -> tuple[Events, npt.NDArray[np.int64]]:
    """Even people watch even films and odd people odd ones, in any order; each has one film left unwatched.

    Returns the events and (P,) the film left unwatched: the only right recommendation.
    """
    rng = np.random.default_rng(seed)
    rows: Columns = []
    hidden = np.empty(n_people, dtype=np.int64)
    for person in range(n_people):
        films = rng.permutation(np.arange(person % 2, n_items, 2))
        hidden[person] = films[0]
        rows += [(person, int(film), 4.0, START_S + 100 * place) for place, film in enumerate(films[1:])]
    return events_of(rows), hidden


def markov(n_people: int = 180, n_items: int = 60, length: int = 25, seed: int = 0) -> Events:
    """Everyone goes round the films in one fixed order; the last film decides the next.

    Starts are spread evenly, so that every film is as popular as every other.
    """
    cycle = np.random.default_rng(seed).permutation(n_items)
    starts = np.arange(n_people) % n_items
    return events_of(
        [
            (person, int(cycle[(starts[person] + step) % n_items]), 4.0, START_S + 1000 * step)
            for person in range(n_people)
            for step in range(length)
        ]
    )


def planted_tastes(
    n_people: int = 320, n_items: int = 120, n_tastes: int = 4, length: int = 16, seed: int = 0
) -> tuple[Events, npt.NDArray[np.int64]]:
    """Each person has one taste and watches its films, nine times in ten. Returns events and (N,) each film's taste."""
    rng = np.random.default_rng(seed)
    taste_of_film = np.arange(n_items) % n_tastes
    rows: Columns = []
    for person in range(n_people):
        liked = taste_of_film == person % n_tastes
        chance = np.where(liked, 0.9 / liked.sum(), 0.1 / (~liked).sum())
        films = rng.choice(n_items, size=length, replace=False, p=chance)
        stamps = START_S + 3600 * person + 60 * np.arange(length)
        rows += [(person, int(film), 4.0, int(at)) for film, at in zip(films, stamps, strict=True)]
    return events_of(rows), taste_of_film


def noise(n_people: int = 320, n_items: int = 400, length: int = 16, seed: int = 0) -> Events:
    """Everyone watches films drawn evenly: there is nothing to learn."""
    rng = np.random.default_rng(seed)
    rows: Columns = []
    for person in range(n_people):
        films = rng.choice(n_items, size=length, replace=False)
        rows += [(person, int(film), 4.0, START_S + 60 * place) for place, film in enumerate(films)]
    return events_of(rows)
