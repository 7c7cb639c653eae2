"""Training examples hold what serving would have seen, and nothing later."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from features.history import HISTORY_LENGTH, WatchHistory, history_tensors
from tests.training.worlds import START_S, Columns, events_of, planted_tastes
from training.data.splits import in_time_order
from training.fit.windows import EventWindows, HistoryMasking

CPU = torch.device("cpu")


def two_people() -> EventWindows:
    rows: Columns = [(0, film, 3.0, START_S + 86_400 * place) for place, film in enumerate([7, 2, 9])]
    rows += [(1, film, 4.5, START_S + 43_200 * place) for place, film in enumerate([5, 6])]
    return EventWindows.of(events_of(rows), CPU)


def test_a_window_is_what_serving_would_be_given() -> None:
    ordered = in_time_order(planted_tastes(n_people=12, length=60)[0])
    windows = EventWindows.of(ordered, CPU)
    ends = torch.tensor([5, 59, 75, 119, 700])

    history, ratings, age_days, _ = windows.before(ends)

    known = []
    for end in ends.tolist():
        before = np.flatnonzero((ordered.user_rows == ordered.user_rows[end]) & (np.arange(len(ordered)) < end))
        columns = (ordered.item_rows[before].astype(np.int64), ordered.ratings[before], ordered.timestamps_s[before])
        known.append(WatchHistory(*columns))
    served = history_tensors(known)
    np.testing.assert_array_equal(history, served["history"])
    np.testing.assert_array_equal(ratings, served["ratings"])
    # Days are subtracted in float64 here and divided in float32 there.
    np.testing.assert_allclose(age_days, served["age_days"], atol=1e-4)


def test_a_persons_first_event_has_an_empty_window() -> None:
    history, ratings, age_days, _ = two_people().before(torch.tensor([0, 3]))

    assert not history.any()
    assert not ratings.any()
    assert not age_days.any()


def test_ages_count_back_from_the_newest_event_of_the_window() -> None:
    _, _, age_days, _ = two_people().before(torch.tensor([2]))

    assert age_days[0, :3].tolist() == [1.0, 0.0, 0.0]


def test_next_films_end_with_the_person() -> None:
    after = two_people().after(torch.tensor([0, 1, 2, 3]), 3)

    assert after.tolist() == [[3, 10, 0], [10, 0, 0], [0, 0, 0], [7, 0, 0]]


@pytest.mark.parametrize("seed", range(3))
def test_windows_cover_every_event_that_has_a_successor(seed: int) -> None:
    windows = EventWindows.of(in_time_order(planted_tastes(n_people=9, length=110)[0]), CPU)

    ends = windows.window_ends(torch.Generator().manual_seed(seed))
    history, _, _, at = windows.before(ends)

    covered = set(at[history > 0].tolist())
    assert covered == set(torch.nonzero(windows.remaining > 0).flatten().tolist())


def test_no_window_reaches_into_another_person() -> None:
    windows = EventWindows.of(in_time_order(planted_tastes(n_people=9, length=110)[0]), CPU)
    ends = windows.window_ends(torch.Generator().manual_seed(0))

    history, _, _, at = windows.before(ends)

    owner = windows.person[ends].unsqueeze(1).expand(-1, HISTORY_LENGTH)
    assert torch.equal(windows.person[at][history > 0], owner[history > 0])


def three_films(n_people: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The same history for everybody: films 4, 8 and 6, then padding."""
    row = torch.zeros(HISTORY_LENGTH)
    history, ratings, age_days = row.to(torch.int64), row.clone(), row.clone()
    history[:3], ratings[:3], age_days[:3] = (
        torch.tensor([4, 8, 6]),
        torch.tensor([3.0, 1.0, 5.0]),
        torch.tensor([9.0, 2, 0]),
    )
    return tuple(tensor.repeat(n_people, 1) for tensor in (history, ratings, age_days))  # type: ignore[return-value]


def test_a_blur_of_nothing_changes_nothing() -> None:
    shown = HistoryMasking(hidden_share=0.0, plain_share=0.0)(three_films(), torch.Generator().manual_seed(0))

    for blurred, whole in zip(shown, three_films(), strict=True):
        torch.testing.assert_close(blurred, whole)


def test_the_newest_film_is_never_hidden() -> None:
    history, ratings, _ = HistoryMasking(hidden_share=1.0, plain_share=0.0)(
        three_films(), torch.Generator().manual_seed(0)
    )

    assert history[0, :4].tolist() == [0, 0, 6, 0]
    assert ratings[0, :4].tolist() == [0, 0, 5, 0]


def test_a_plain_history_has_films_and_nothing_else() -> None:
    history, ratings, age_days = HistoryMasking(hidden_share=0.0, plain_share=1.0)(three_films(), torch.Generator())

    assert history[0, :4].tolist() == [4, 8, 6, 0]
    assert not ratings.any()
    assert not age_days.any()


def test_films_are_hidden_and_histories_plain_as_often_as_asked() -> None:
    masking = HistoryMasking(hidden_share=0.3, plain_share=0.2)

    history, ratings, _ = masking(three_films(10_000), torch.Generator().manual_seed(0))

    # 20,000 films that may be hidden and 10,000 histories: 5 standard errors are .016 and .02.
    assert (history[:, :2] == 0).float().mean().item() == pytest.approx(0.3, abs=0.016)
    assert (ratings[:, 2] == 0).float().mean().item() == pytest.approx(0.2, abs=0.02)
