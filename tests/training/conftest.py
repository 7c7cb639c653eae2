"""A data set in MovieLens' format, small enough to train on in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training.worlds import planted_tastes


@pytest.fixture(scope="session")
def movielens_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty people of four tastes, twelve events each, over 24 films."""
    events, tastes = planted_tastes(n_people=40, n_items=24, length=12)
    folder = tmp_path_factory.mktemp("planted")
    genres = ("Action", "Comedy", "Drama", "Horror")
    films = [f"{row + 1},Film {row} ({1980 + row}),{genres[tastes[row]]}\n" for row in range(24)]
    rows = zip(events.user_rows, events.item_rows, events.ratings, events.timestamps_s, strict=True)
    ratings = [f"{user + 1},{item + 1},{stars},{at}\n" for user, item, stars, at in rows]
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "".join(films))
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "".join(ratings))
    return folder


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Nets this small only lose time to a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
