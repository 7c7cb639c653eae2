"""What each protocol hides, and that nothing hidden leaks."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.worlds import START_S, Columns, events_of, planted_tastes
from training.data.splits import Protocol, hold_out, in_time_order, positions_from_end, select


def watched(person: int, films: list[int], start_s: int = START_S) -> Columns:
    return [(person, film, 4.0, start_s + 10 * place) for place, film in enumerate(films)]


def pairs(users: np.ndarray, items: np.ndarray) -> set[tuple[int, int]]:
    return set(zip(users.tolist(), items.tolist(), strict=True))


def test_last5_hides_the_newest_five_and_keeps_the_rest_in_order() -> None:
    split = hold_out(events_of(watched(0, [8, 3, 5, 1, 9, 2, 7])), Protocol.LAST5)

    assert split.histories[0].item_rows.tolist() == [8, 3]
    assert sorted(split.targets[0].tolist()) == [1, 2, 5, 7, 9]
    assert split.train.item_rows.tolist() == [8, 3]


def test_last1_hides_only_the_newest() -> None:
    split = hold_out(events_of(watched(0, [8, 3, 5]) + watched(1, [4, 6])), Protocol.LAST1)

    assert [rows.tolist() for rows in split.targets] == [[5], [6]]


def test_people_with_too_few_events_are_trained_on_but_not_predicted() -> None:
    split = hold_out(events_of(watched(0, [1, 2, 3, 4, 5]) + watched(1, list(range(6)))), Protocol.LAST5)

    assert split.people.tolist() == [1]
    assert (split.train.user_rows == 0).sum() == 5


def test_newuser_never_trains_on_the_last_fifth_to_arrive() -> None:
    rows: Columns = []
    for person in range(10):  # person 3 and person 7 arrive last
        rows += watched(person, list(range(15)), START_S + 1000 * (person + 100 * (person in (3, 7))))

    split = hold_out(events_of(rows), Protocol.NEWUSER)

    assert split.people.tolist() == [3, 7]
    assert not np.isin(split.train.user_rows, [3, 7]).any()
    assert [len(history.item_rows) for history in split.histories] == [5, 5]
    assert [sorted(rows.tolist()) for rows in split.targets] == [list(range(5, 15))] * 2


def test_mixed_hides_five_of_everyone_and_trains_on_no_newcomer() -> None:
    rows: Columns = []
    for person in range(10):  # person 3 and person 7 arrive last
        rows += watched(person, list(range(8)), START_S + 1000 * (person + 100 * (person in (3, 7))))

    split = hold_out(events_of(rows), Protocol.MIXED)

    assert split.people.tolist() == list(range(10))
    assert not np.isin(split.train.user_rows, [3, 7]).any()
    assert all(len(history.item_rows) == 3 for history in split.histories)


def test_random_hides_about_a_fifth() -> None:
    events, _ = planted_tastes()

    split = hold_out(events, Protocol.RANDOM)

    hidden = sum(len(rows) for rows in split.targets)
    # 5120 events: the deviation of a fifth of them is sqrt(5120 * .2 * .8) = 29.
    assert hidden == pytest.approx(0.2 * len(events), abs=4 * 29)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_no_target_stands_in_its_own_history(protocol: Protocol) -> None:
    events, _ = planted_tastes()
    again = select(events, np.r_[np.arange(len(events)), np.arange(0, len(events), 3)])  # films watched twice

    split = hold_out(again, protocol)

    for history, targets in zip(split.histories, split.targets, strict=True):
        assert not np.isin(targets, history.item_rows).any()


@pytest.mark.parametrize("protocol", list(Protocol))
def test_no_hidden_event_is_trained_on(protocol: Protocol) -> None:
    split = hold_out(planted_tastes()[0], protocol)
    trained = pairs(split.train.user_rows, split.train.item_rows)

    assert len(split.people) > 0
    for person, targets in zip(split.people.tolist(), split.targets, strict=True):
        assert trained.isdisjoint((person, film) for film in targets.tolist())


@pytest.mark.parametrize("protocol", [Protocol.LAST5, Protocol.NEWUSER])
def test_split_does_not_depend_on_the_order_of_the_file(protocol: Protocol) -> None:
    events, _ = planted_tastes()
    shuffled = select(events, np.random.default_rng(0).permutation(len(events)))

    one, other = hold_out(events, protocol), hold_out(shuffled, protocol)

    assert [rows.tolist() for rows in one.targets] == [rows.tolist() for rows in other.targets]
    assert one.train.item_rows.tolist() == other.train.item_rows.tolist()


def test_events_of_one_second_do_not_follow_the_film_id() -> None:
    # 200 people rate films 0..9 within one second. In file order film 9 would always be last.
    events = events_of([(person, film, 4.0, START_S) for person in range(200) for film in range(10)])

    last = hold_out(events, Protocol.LAST1).targets

    counts = np.bincount(np.concatenate(last), minlength=10)
    # 20 each on average; the deviation of a count is sqrt(200 * .1 * .9) = 4.2.
    assert counts.max() < 20 + 4 * 4.2
    assert counts.min() > 20 - 4 * 4.2


def test_a_film_watched_twice_keeps_its_newest_event() -> None:
    ordered = in_time_order(events_of(watched(0, [4, 2, 4, 1])))

    assert ordered.item_rows.tolist() == [2, 4, 1]


def test_positions_count_back_from_the_newest() -> None:
    assert positions_from_end(np.array([2, 2, 2, 5, 7, 7])).tolist() == [2, 1, 0, 0, 1, 0]
