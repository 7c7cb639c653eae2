"""Reports and model cards: what they show is what was measured, and simulated people are called simulated."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.progress import Progress

from features.sources import SOURCES
from tests.training.test_train import fitted, for_epochs
from tests.training.worlds import START_S, events_of, no_content, planted_tastes, world
from training.checkpoint import Checkpoint
from training.data.splits import Protocol, hold_out
from training.evaluation.model_card import interval, licence, markdown_table, model_card
from training.evaluation.segments import kinds_of_films, segments
from training.train import fit_release

pytestmark = pytest.mark.usefixtures("one_thread")

pytest.importorskip("matplotlib", reason="needs the extra `lab` (make lab)")


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    dataset = world(planted_tastes(n_people=60, n_items=24, length=14)[0], 24)
    return fit_release(dataset, no_content(24), for_epochs(1, hold_out=Protocol.LAST5), Progress(disable=True))


@pytest.fixture(scope="module")
def folder(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from training.evaluation.report import write_report

    out = tmp_path_factory.mktemp("report")
    write_report(checkpoint, out)
    return out


def test_every_plot_that_the_report_shows_is_there(folder: Path) -> None:
    shown = re.findall(r"!\[.*?\]\((.*?)\)", (folder / "report.md").read_text())

    assert {"learning_curves.png", "test_metrics.png", "validation_segments.png", "embedding_map.png"} <= set(shown)
    for name in shown:
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_the_report_holds_the_measured_metrics_with_their_intervals(folder: Path, checkpoint: Checkpoint) -> None:
    text = (folder / "report.md").read_text()

    for source in (*SOURCES, "hybrid"):
        assert f"| {source} | {interval(checkpoint.metrics['test']['sources'][source]['ndcg@10'])}" in text


def test_the_card_says_what_the_people_are(checkpoint: Checkpoint) -> None:
    assert "**The people are simulated**" in model_card(checkpoint)

    real = replace(checkpoint, facts=replace(checkpoint.facts, simulated=False, name="ml-25m"))
    assert "simulated" not in model_card(real)
    assert "no commercial use without permission" in licence(real.facts)
    assert "data of your own" in licence(replace(real.facts, name="shop"))


def test_the_card_says_whether_something_was_held_out(checkpoint: Checkpoint) -> None:
    assert "Held out of the served models: last5." in model_card(checkpoint)
    without = replace(checkpoint, facts=replace(checkpoint.facts, hold_out=None))
    assert "Nothing was held out of the served models" in model_card(without)


def test_people_are_told_apart_by_what_is_known_of_them() -> None:
    # One person with 7 known events and one with 30, five more of each held out.
    rows = [(p, film, 4.0, START_S + film) for p, length in ((0, 12), (1, 35)) for film in range(length)]
    dataset = world(events_of(rows), 40)
    split = hold_out(dataset.events, Protocol.LAST5)

    found = segments(fitted(dataset, for_epochs(1)), split, dict.fromkeys(SOURCES, 1 / len(SOURCES)))

    assert {name: row["people"] for name, row in found["people"].items()} == {"cold": 1, "warm": 1}
    assert sum(row["targets"] for row in found["films"].values()) == 10


def test_films_are_told_apart_by_their_share_of_events() -> None:
    # 50, 30, 10, 6, 4 and 0 events: the first has half of all, the first two have 80 %.
    rows = np.repeat(np.arange(5), [50, 30, 10, 6, 4])

    assert kinds_of_films(rows, 6).tolist() == [0, 1, 2, 2, 2, 2]


def test_two_directions_of_a_plane_hold_everything() -> None:
    from training.evaluation.plots import two_directions

    corners = np.array([[3, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]], dtype=np.float32)
    points, share = two_directions(corners)

    assert share == pytest.approx(1)
    np.testing.assert_allclose(np.abs(points), [[3, 0], [3, 0], [0, 1], [0, 1]], atol=1e-6)


def test_tables_are_markdown() -> None:
    assert markdown_table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    assert interval({"mean": 0.5, "se": 0.1}) == "0.5000 (0.3040 to 0.6960)"
