"""The simulated world: what is planted in it can be found in what its people watch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from features.catalog import Film
from sample import SimulatedWorld, simulate
from sample.films import sample_films
from sample.people import MAX_EVENTS, MIN_EVENTS
from sample.tastes import TASTES, film_fit
from sample.viewing import next_in_series, series_name

PEOPLE = 2000


@pytest.fixture(scope="module")
def world() -> SimulatedWorld:
    """The sample's own world."""
    return simulate(sample_films(), PEOPLE, seed=7)


def fit_of(taste: str, **film: object) -> float:
    column = [each.name for each in TASTES].index(taste)
    return float(film_fit([Film(1, "A film", **film)])[0, column])  # type: ignore[arg-type]


def test_a_film_of_the_right_genre_fits_a_taste_wholly() -> None:
    assert fit_of("western", year=1952, genres=("Western",)) == 1.0
    assert fit_of("western", year=1952, genres=("Drama",)) == 0.0


def test_a_film_that_answers_half_a_taste_fits_it_by_the_square() -> None:
    # Romance weighs 0.55 and comedy 0.5 in "romantic comedy".
    assert fit_of("romantic comedy", year=1989, genres=("Romance",)) == pytest.approx(0.55**2)
    assert fit_of("romantic comedy", year=1989, genres=("Romance", "Comedy")) == 1.0


def test_an_avoided_genre_and_a_distant_era_lower_the_fit() -> None:
    assert fit_of("science fiction", year=1979, genres=("Sci-Fi", "Horror")) == pytest.approx(0.35)
    # Twelve years from noir's peak in 1948 are one spread: exp(-1/2).
    assert fit_of("film noir", year=1960, genres=("Film-Noir",)) == pytest.approx(np.exp(-0.5))


def test_world_cinema_comes_from_elsewhere() -> None:
    abroad = fit_of("world cinema", year=1953, genres=("Drama", "Comedy"), country="Japan")
    assert abroad == 1.0
    assert fit_of("world cinema", year=1953, genres=("Drama", "Comedy"), country="USA") == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("title", "series"),
    [
        ("Toy Story 2", "toy story"),
        ("The Godfather Part II", "the godfather"),
        ("The Godfather", "the godfather"),
        ("Kill Bill: Vol. 2", "kill bill"),
        ("Mad Max: Fury Road", "mad max"),
        ("Rocky II", "rocky"),
        ("Se7en", "se7en"),
    ],
)
def test_titles_tell_their_series(title: str, series: str) -> None:
    assert series_name(title) == series


def test_the_next_part_of_a_series_is_the_next_by_year() -> None:
    films = [Film(1, "Rocky II", 1979), Film(2, "Heat", 1995), Film(3, "Rocky", 1976), Film(4, "Rocky III", 1982)]
    assert next_in_series(films) == {2: 0, 0: 3}


def test_the_same_seed_gives_the_same_world_and_another_seed_another() -> None:
    films = sample_films()[:60]
    first, again, other = (simulate(films, 50, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.item_rows, again.item_rows)
    assert np.array_equal(first.ratings, again.ratings)
    assert np.array_equal(first.timestamps_s, again.timestamps_s)
    assert not np.array_equal(first.timestamps_s[:16], other.timestamps_s[:16])


def test_everyone_holds_one_to_three_tastes_that_add_up(world: SimulatedWorld) -> None:
    for tastes in (world.tastes_at_start, world.tastes_at_end):
        assert tastes.sum(axis=1) == pytest.approx(np.ones(PEOPLE))
        assert set(np.count_nonzero(tastes, axis=1)) == {1, 2, 3}


def test_every_taste_has_people_who_hold_it_alone_and_films_left_for_them(world: SimulatedWorld) -> None:
    watched = watched_matrix(world)
    for taste in world.taste_names:
        devoted = world.devoted_to(taste)
        assert len(devoted) >= 5
        left = ~watched[np.ix_(devoted, world.films_of(taste))]
        assert left.sum(axis=1).min() >= 3


def test_people_watch_what_they_like(world: SimulatedWorld) -> None:
    watched = watched_matrix(world)
    for taste in world.taste_names:
        films = world.films_of(taste)
        devoted = watched[world.devoted_to(taste)]
        share = devoted[:, films].sum() / devoted.sum()
        # Whoever chose blindly would give them their share of the catalogue.
        assert share > 2.5 * len(films) / len(world.films), taste


def test_people_rate_what_they_like_higher(world: SimulatedWorld) -> None:
    users, items = world.user_rows, world.item_rows
    liking = world.liking()[users, items]
    steady = (world.tastes_at_start == world.tastes_at_end).all(axis=1)[users]
    loved, indifferent = (world.ratings[steady & where].mean() for where in (liking > 0.8, liking < 0.1))
    # The planted difference is 2.2 stars for liking 1 against 0, less what clipping to 0.5..5 takes.
    assert 1.2 < loved - indifferent < 2.2
    assert set(np.unique(world.ratings)) <= set(np.arange(0.5, 5.5, 0.5))


def test_nobody_watches_a_film_twice_and_stories_have_the_stated_length(world: SimulatedWorld) -> None:
    pairs = world.user_rows * len(world.films) + world.item_rows
    assert len(np.unique(pairs)) == len(pairs)
    lengths = np.bincount(world.user_rows)
    assert (len(lengths), lengths.min(), lengths.max()) == (PEOPLE, MIN_EVENTS, MAX_EVENTS)


def test_sessions_are_bursts_hours_apart_with_days_between_them(world: SimulatedWorld) -> None:
    gaps_h = np.diff(world.timestamps_s) / 3600
    same_person = np.diff(world.user_rows) == 0
    same_session = same_person & (np.diff(world.sessions) == 0)
    # Timestamps are whole seconds: a gap may lose one to rounding.
    second = 1 / 3600
    assert gaps_h[same_session].min() >= 2 - second
    assert gaps_h[same_session].max() <= 4 + second
    assert gaps_h[same_person & ~same_session].min() >= 8 - second
    assert np.median(gaps_h[same_person & ~same_session]) > 72


def test_the_order_within_a_session_tells_something(world: SimulatedWorld) -> None:
    directors = np.unique([film.director for film in world.films], return_inverse=True)[1][world.item_rows]
    same_person = np.diff(world.user_rows) == 0
    same_session = same_person & (np.diff(world.sessions) == 0)
    same_director = np.diff(directors) == 0
    assert same_director[same_session].mean() > 2 * same_director[same_person & ~same_session].mean()


def test_the_next_part_of_a_series_often_follows_at_once(world: SimulatedWorld) -> None:
    following = next_in_series(world.films)
    same_session = (np.diff(world.user_rows) == 0) & (np.diff(world.sessions) == 0)
    first = world.item_rows[:-1][same_session]
    second = world.item_rows[1:][same_session]
    has_next = np.isin(first, list(following))
    next_rows = np.array([following.get(row, -1) for row in first])
    # By chance it would be one film in 656.
    assert (next_rows == second)[has_next].mean() > 0.1


def test_drifting_people_change_what_they_watch(world: SimulatedWorld) -> None:
    old, new = world.tastes_at_start.argmax(axis=1), world.tastes_at_end.argmax(axis=1)
    lengths = np.bincount(world.user_rows)
    step = np.arange(len(world.user_rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    users = world.user_rows
    late = step >= world.drift_at[users] * lengths[users]
    drifted = (old != new)[users]
    assert 0.2 < (old != new).mean() < 0.4
    fit_new, fit_old = world.fit[world.item_rows, new[users]], world.fit[world.item_rows, old[users]]
    assert fit_new[drifted & late].mean() > 3 * fit_new[drifted & ~late].mean()
    assert fit_old[drifted & late].mean() < 0.4 * fit_old[drifted & ~late].mean()


def test_knowing_the_tastes_beats_popularity_by_far(world: SimulatedWorld) -> None:
    history, last = without_last(world)
    by_taste = hit_ratio(5 * world.liking() + world.popularity, history, last)
    assert by_taste > 4 * hit_ratio(np.tile(history.sum(axis=0), (PEOPLE, 1)), history, last)


def test_a_simple_model_finds_the_tastes_in_the_events(world: SimulatedWorld) -> None:
    history, last = without_last(world)
    together = history.T @ history
    inverse = np.linalg.inv(together + 200 * np.eye(len(together)))
    weights = -inverse / np.diag(inverse)  # EASE (Steck, 2019)
    np.fill_diagonal(weights, 0)
    popular = np.tile(history.sum(axis=0), (PEOPLE, 1))
    assert hit_ratio(history @ weights, history, last) > 3 * hit_ratio(popular, history, last)


def watched_matrix(world: SimulatedWorld) -> npt.NDArray[np.bool_]:
    watched = np.zeros((PEOPLE, len(world.films)), dtype=bool)
    watched[world.user_rows, world.item_rows] = True
    return watched


def without_last(world: SimulatedWorld) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """(U, N) 1 for all but each person's last film, and (U,) that last film."""
    is_last = np.append(np.diff(world.user_rows) != 0, True)
    history = watched_matrix(world).astype(np.float64)
    last = world.item_rows[is_last]
    history[np.arange(PEOPLE), last] = 0
    return history, last


def hit_ratio(scores: npt.NDArray[np.float64], history: npt.NDArray[np.float64], last: npt.NDArray[np.int64]) -> float:
    """Share of people whose last film is among the ten best that they had not watched."""
    scores = np.where(history > 0, -np.inf, scores)
    rank = (scores > scores[np.arange(len(last)), last][:, None]).sum(axis=1)
    return float((rank < 10).mean())
