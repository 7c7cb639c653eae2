"""What `prepare` writes, read back and compared with numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest
from typer.testing import CliRunner

from tests.training.worlds import events_of, world
from training.__main__ import app
from training.data.prepared.prepare import FILES, prepare
from training.data.prepared.tables import Prepared, hour, weekday
from training.data.splits import Protocol

MONDAY_S = 1_577_664_000
"""2019-12-30 00:00 UTC, a Monday."""

MOVIES = "movieId,title,genres\n10,Toy Story (1995),Children|Comedy\n11,Heat (1995),Crime\n12,Alien (1979),Sci-Fi\n"
RATINGS = "userId,movieId,rating,timestamp\n" + "".join(
    # Person 7 rates 1 and 3 stars, then 5 which last1 holds out; person 9 rates but once.
    f"{user},{movie},{stars},{MONDAY_S + at}\n"
    for user, movie, stars, at in [(7, 10, 1, 0), (7, 11, 3, 3600), (7, 12, 5, 7200), (9, 10, 4, 86_400 * 6 + 60)]
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data, out = tmp_path_factory.mktemp("tiny"), tmp_path_factory.mktemp("prepared")
    (data / "movies.csv").write_text(MOVIES)
    (data / "ratings.csv").write_text(RATINGS)
    done = CliRunner().invoke(
        app,
        ["prepare", "--data", str(data), "--out", str(out), "--hold-out", "last1"],
        env={"COLUMNS": "220", "NO_COLOR": "1"},
    )
    assert done.exit_code == 0, done.output
    assert "3 events to learn from, 1 to predict, of 2 people and 3 films" in done.output
    return out


def test_every_file_is_there(written: Path) -> None:
    assert {path.name for path in written.iterdir()} == {*FILES, "statistics.json"}


def test_interactions_carry_ids_rows_day_hour_and_split(written: Path) -> None:
    table = pl.read_parquet(written / "interactions.parquet")

    assert table["user_id"].to_list() == ["7", "7", "7", "9"]
    assert table["movie_id"].to_list() == [10, 11, 12, 10]
    assert table["user_row"].to_list() == [0, 0, 0, 1]
    assert table["item_row"].to_list() == [0, 1, 2, 0]
    assert table["rating"].to_list() == [1, 3, 5, 4]
    assert table["timestamp_s"].to_list() == [MONDAY_S, MONDAY_S + 3600, MONDAY_S + 7200, MONDAY_S + 86_400 * 6 + 60]
    assert table["day"].to_list() == [0, 0, 0, 6]
    assert table["hour"].to_list() == [0, 1, 2, 0]
    assert table["split"].to_list() == ["train", "train", "test", "train"]


def test_ratings_are_normalised_by_the_person_without_the_test(written: Path) -> None:
    table = pl.read_parquet(written / "interactions.parquet")

    # Person 7's known ratings 1 and 3 have mean 2 and deviation 1; person 9's only rating has no deviation.
    assert table["rating_normalised"].to_list() == [-1, 1, 3, 0]


def test_train_and_test_are_the_interactions_of_their_split(written: Path) -> None:
    whole = pl.read_parquet(written / "interactions.parquet")
    for split in ("train", "test"):
        assert pl.read_parquet(written / f"{split}.parquet").equals(whole.filter(pl.col("split") == split))


def test_people_and_films_are_described_without_the_test(written: Path) -> None:
    people, films = pl.read_parquet(written / "users.parquet"), pl.read_parquet(written / "movies.parquet")

    assert people["events"].to_list() == [2, 1]
    assert people["rating_mean"].to_list() == [2, 4]
    assert people["rating_deviation"].to_list() == [1, 0]
    assert people["last_s"].to_list() == [MONDAY_S + 3600, MONDAY_S + 86_400 * 6 + 60]
    assert people["top_genres"].to_list() == [["Children", "Comedy", "Crime"], ["Children", "Comedy"]]
    assert films["title"].to_list() == ["Toy Story", "Heat", "Alien"]
    assert films["year"].to_list() == [1995, 1995, 1979]
    assert films["genres"].to_list() == [["Children", "Comedy"], ["Crime"], ["Sci-Fi"]]
    assert films["events"].to_list() == [2, 1, 0]
    # The mean of all known ratings, (1 + 3 + 4) / 3, stands for a film without any.
    assert films["rating_mean"].to_list() == pytest.approx([2.5, 3, 8 / 3])


def test_statistics_count_everything(written: Path) -> None:
    facts = orjson.loads((written / "statistics.json").read_bytes())

    assert (facts["events"], facts["train_events"], facts["test_events"], facts["history_events"]) == (4, 3, 1, 0)
    assert facts["density"] == pytest.approx(4 / 6)
    assert facts["ratings"] == {"1": 1, "3": 1, "4": 1}
    assert facts["events_by_day"] == {"0": 2, "6": 1}
    assert (facts["first_event"], facts["last_event"]) == ("2019-12-30", "2020-01-05")
    assert facts["films_without_events"] == 1
    assert facts["events_per_person"]["max"] == 2
    assert facts["data"]["simulated"] is False
    # One film of the two watched at all is the most watched fifth: 2 of 3 events.
    assert facts["share_of_head"] == pytest.approx(2 / 3)


def test_people_that_are_never_trained_on_keep_their_history_apart(tmp_path: Path) -> None:
    # Ten people of 15 events; the last fifth to arrive, 8 and 9, have their last ten predicted from the five before.
    events = events_of([(p, film, 4.0, MONDAY_S + 1000 * p + film) for p in range(10) for film in range(15)])

    facts = prepare(Prepared.of(world(events, 15), Protocol.NEWUSER), tmp_path)

    assert (facts["train_events"], facts["history_events"], facts["test_events"]) == (120, 10, 20)
    history = pl.read_parquet(tmp_path / "interactions.parquet").filter(pl.col("split") == "history")
    assert history["user_row"].unique().sort().to_list() == [8, 9]


def test_nothing_held_out_leaves_the_test_empty(tmp_path: Path) -> None:
    prepare(Prepared.of(world(events_of([(0, 0, 4.0, MONDAY_S)]), 1), None), tmp_path)

    assert pl.read_parquet(tmp_path / "test.parquet").height == 0
    assert pl.read_parquet(tmp_path / "train.parquet").height == 1


def test_days_and_hours_are_those_of_the_calendar() -> None:
    stamps = np.array([0, MONDAY_S - 1, MONDAY_S + 86_399], dtype=np.int64)

    assert weekday(stamps).tolist() == [3, 6, 0]  # 1970 began on a Thursday
    assert hour(stamps).tolist() == [0, 23, 23]


def test_purchases_without_stars_and_times_leave_out_what_needs_them(tmp_path: Path) -> None:
    (tmp_path / "purchases.csv").write_text("customer,sku\n" + "".join(f"c{at % 2},p{at // 2}\n" for at in range(12)))
    out = tmp_path / "prepared"
    done = CliRunner().invoke(
        app, ["prepare", "--data", str(tmp_path), "--out", str(out)], env={"COLUMNS": "400", "NO_COLOR": "1"}
    )
    assert done.exit_code == 0, done.output
    assert "These data have no ratings: every event counts as watched." in done.output
    assert "These data have no times: each person's rows are taken in their order" in done.output
    table = pl.read_parquet(out / "interactions.parquet")
    assert table["movie_id"].to_list() == [f"p{at}" for at in range(6)] * 2
    assert not {"rating_normalised", "day", "hour"} & set(table.columns)
    facts = orjson.loads((out / "statistics.json").read_bytes())
    assert (facts["rating_mean"], facts["ratings"], facts["first_event"]) == (None, {}, None)
    assert pl.read_parquet(out / "users.parquet")["first_s"].to_list() == [None, None]
