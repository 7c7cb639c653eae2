"""Streaming from Parquet gives the examples, and so the nets, that training from memory gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from features.history import HISTORY_LENGTH
from tests.training.test_train import QUICK
from tests.training.worlds import START_S, events_of, planted_tastes, world
from training.data.dataset import Events
from training.data.event_table import write_event_table
from training.data.item_features import item_features
from training.data.splits import in_time_order, select
from training.fit.networks import sequence_network, two_tower_network
from training.fit.sampler import EventSampler
from training.fit.streamed_windows import StreamedWindows, covered
from training.fit.windows import EventWindows

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def uneven() -> Events:
    """People of 1 to 130 events: shorter than a window, exactly one, and several."""
    lengths = [1, 2, 49, 50, 51, 52, 100, 101, 130, 1, 17]
    rng = np.random.default_rng(0)
    return in_time_order(
        events_of(
            [
                (3 * person, int(film), float(rng.integers(1, 10)) / 2, START_S + 86_000 * place)
                for person, length in enumerate(lengths)
                for place, film in enumerate(rng.permutation(140)[:length])
            ]
        )
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventWindows, StreamedWindows]:
    events, path = uneven(), tmp_path_factory.mktemp("events") / "events.parquet"
    write_event_table(path, events, events_per_group=120)
    return EventWindows.of(events, CPU), StreamedWindows(path, CPU, windows_at_once=8)


@pytest.mark.parametrize("seed", range(6))
def test_windows_end_at_the_same_events(both: tuple[EventWindows, StreamedWindows], seed: int) -> None:
    memory, streamed = (windows.window_ends(torch.Generator().manual_seed(seed)) for windows in both)

    assert torch.equal(memory, streamed)


def test_batches_are_equal_to_the_last_bit(both: tuple[EventWindows, StreamedWindows]) -> None:
    memory, streamed = both
    ends = torch.nonzero(memory.position > 0).flatten()
    ends = ends[torch.randperm(len(ends), generator=torch.Generator().manual_seed(0))]

    seen = 0
    for batch in streamed.batches(ends, 3, horizon=3):
        expected, found = memory.before(batch), streamed.before(batch)
        for one, other in zip(expected, found, strict=True):
            assert torch.equal(one, other)
        inside = found[0] > 0
        assert torch.equal(memory.after(expected[3][inside], 3), streamed.after(found[3][inside], 3))
        assert torch.equal(memory.after(batch - 1, 3), streamed.after(batch - 1, 3))
        assert torch.equal(memory.person_of(batch), streamed.person_of(batch))
        assert torch.equal(batch, ends[seen : seen + 3])
        seen += len(batch)
    assert seen == len(ends)


def test_only_what_a_piece_needs_is_in_memory(both: tuple[EventWindows, StreamedWindows]) -> None:
    memory, streamed = both
    end = int((torch.cumsum(memory.counts, dim=0) - memory.counts)[8]) + 100  # of the person of 130 events

    next(streamed.batches(torch.tensor([end]), 1, horizon=3))

    assert streamed.n_loaded == HISTORY_LENGTH + 3


def test_films_have_the_same_shares(both: tuple[EventWindows, StreamedWindows]) -> None:
    memory, streamed = (windows.film_shares(windows.sampler(0.5), 140) for windows in both)

    assert torch.equal(memory, streamed)
    assert float(memory.sum()) == pytest.approx(1)


def test_draws_are_those_of_a_ladder_over_all_events() -> None:
    windows = EventWindows.of(in_time_order(planted_tastes()[0]), CPU)
    usable = torch.nonzero(windows.position > 0).flatten()
    chance = windows.counts.to(torch.float64)[windows.person[usable]] ** -0.5
    ladder = torch.cumsum(chance, dim=0)
    height = torch.rand(5000, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * ladder[-1]

    drawn = windows.sampler(0.5).draw(5000, torch.Generator().manual_seed(1))

    assert torch.equal(drawn, usable[torch.searchsorted(ladder, height, right=True)])


def test_draws_never_take_a_first_event_and_hold_heavy_watchers_back() -> None:
    sampler = EventSampler.of(torch.tensor([1, 5, 101]), 1.0)

    drawn = sampler.draw(20_000, torch.Generator().manual_seed(0))

    assert sampler.usable == 104
    assert set(drawn.tolist()) == {*range(2, 6), *range(7, 107)}
    # With exponent 1 people of n events have odds (n - 1) / n: 0.8 against 0.990; deviation sqrt(pq/n) = .0035.
    assert float((drawn < 6).float().mean()) == pytest.approx(0.8 / (0.8 + 100 / 101), abs=4 * 0.0035)


def test_covered_places_are_those_of_any_range() -> None:
    assert covered(np.array([1, 2, 7]), np.array([3, 4, 8]), 9).tolist() == [1, 2, 3, 7]


@pytest.mark.parametrize("model", ["sequence", "two_tower"])
def test_a_net_trained_from_parquet_is_the_one_trained_from_memory(model: str, tmp_path: Path) -> None:
    events = in_time_order(planted_tastes(n_people=40, n_items=24, length=12)[0])
    events = select(events, np.flatnonzero((events.user_rows % 7 > 0) | (np.arange(len(events)) % 3 > 0)))
    write_event_table(tmp_path / "events.parquet", events, events_per_group=100)
    features = item_features(world(events, 24).catalog, events, np.zeros((24, 0), dtype=np.float32))
    make, config = {"sequence": (sequence_network, QUICK.sequence), "two_tower": (two_tower_network, QUICK.two_tower)}[
        model
    ]

    nets = []
    for source in (events, tmp_path / "events.parquet"):
        fit = make(source, features, replace(config, epochs=2), 0, CPU)  # type: ignore[operator]
        curve = fit.train()
        nets.append((curve.losses, fit.net.item_vectors()))

    assert nets[0][0] == nets[1][0]
    assert torch.equal(nets[0][1], nets[1][1])
