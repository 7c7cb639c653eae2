"""Files of shapes that people of this trade have are recognised."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.training.data.formats.shops import FIRST_S, Row, events, items, movielens, write
from training.commands.data import app
from training.data.dataset import Dataset, read_dataset
from training.data.read_report import NO_PERSON, NOTHING_COUNTED


def write_lines(path: Path, rows: Sequence[dict[str, object]]) -> None:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def recbole(folder: Path) -> None:
    """Typed headers, tabs, genres between blanks, decimals everywhere."""
    header = ("user_id:token", "item_id:token", "rating:float", "timestamp:float")
    write(folder / "ml.inter", header, [(u, i, f"{r}.0", f"{t}.0") for u, i, r, t in events()], "\t")
    films = [(i, f"Film {i}", 1990 + i, "Drama War") for i, _, _ in items()]
    named = ("item_id:token", "movie_title:token_seq", "release_year:token", "class:token_seq")
    write(folder / "ml.item", named, films, "\t")
    write(folder / "ml.user", ("user_id:token", "age:token"), [(1, 30)], "\t")


def amazon(folder: Path) -> None:
    """Reviews of 2023 and the metadata beside them; a review's title is not the product's."""
    reviews = [
        {"rating": float(str(r)), "title": "Nice", "text": "I like it", "asin": f"V{i}", "parent_asin": str(i),
         "user_id": str(u), "timestamp": int(str(t)) * 1000, "verified_purchase": True}
        for u, i, r, t in events()
    ]  # fmt: skip
    write_lines(folder / "Movies.jsonl", reviews)
    meta = [
        {"parent_asin": str(i), "title": title, "categories": ["Drama", "War"], "store": "S"} for i, title, _ in items()
    ]
    write_lines(folder / "meta_Movies.jsonl", list(meta))


def amazon_2018(folder: Path) -> None:
    """The names of the years before."""
    reviews = [
        {"overall": float(str(r)), "reviewerID": str(u), "asin": str(i), "unixReviewTime": t, "summary": "Nice"}
        for u, i, r, t in events()
    ]
    write_lines(folder / "Movies_5.json", reviews)
    write_lines(
        folder / "meta_Movies.json",
        [{"asin": str(i), "title": title, "category": ["Drama", "War"]} for i, title, _ in items()],
    )


@pytest.mark.parametrize(
    ("shape", "make"), [("RecBole", recbole), ("Amazon Reviews", amazon), ("Amazon Reviews", amazon_2018)]
)
def test_rated_shapes_have_movielens_events_and_films(tmp_path: Path, shape: str, make: object) -> None:
    assert callable(make)
    make(tmp_path)
    dataset = read_dataset(tmp_path)
    assert dataset.report.layout == shape
    assert dataset.report.taken_as.startswith(shape)
    films = [(film.title, film.year, film.genres) for film in dataset.catalog.films]
    assert films == [(f"Film {i}", 1990 + i, ("Drama", "War")) for i in range(1, 7)]
    by_time = dataset.events.timestamps_s.argsort()
    assert dataset.events.timestamps_s[by_time].tolist() == [FIRST_S + 3600 * at for at in range(4, 36)]
    assert dataset.events.ratings[by_time].tolist() == [1 + at % 5 for at in range(4, 36)]


def gorse_csv(folder: Path) -> None:
    """Go's way to write times."""
    rows = [
        ("star", f"u{u}", f"repo:{i}", f"2022-01-{1 + at % 28:02d} 10:00:00 +0000 UTC")
        for at, (u, i, _, _) in enumerate(events())
    ]
    write(folder / "feedback.csv", ("feedback_type", "user_id", "item_id", "time_stamp"), rows)
    header = ("item_id", "is_hidden", "categories", "time_stamp", "labels", "description")
    written = [
        (f"repo:{i}", "false", "lang", "2022-01-01 10:00:00 +0000 UTC", "a|b", f"Repo {i}") for i, _, _ in items()
    ]
    write(folder / "items.csv", header, written)
    write(folder / "users.csv", ("user_id", "labels"), [("u1", "x")])


def gorse_jsonl(folder: Path) -> None:
    """The same as objects."""
    feedback = [
        {
            "FeedbackType": "star",
            "UserId": f"u{u}",
            "ItemId": f"repo:{i}",
            "Value": 1,
            "Timestamp": f"2022-01-{1 + at % 28:02d}T10:00:00Z",
        }
        for at, (u, i, _, _) in enumerate(events())
    ]
    write_lines(folder / "feedback.jsonl", feedback)
    described = [
        {"ItemId": f"repo:{i}", "Categories": ["lang"], "Labels": {"topics": ["a"]}, "Comment": f"Repo {i}"}
        for i, _, _ in items()
    ]
    write_lines(folder / "items.jsonl", described)
    write_lines(folder / "users.jsonl", [{"UserId": "u1", "Labels": []}])


@pytest.mark.parametrize("make", [gorse_csv, gorse_jsonl])
def test_gorse_dumps_are_implicit(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path)
    dataset = read_dataset(tmp_path)
    assert (dataset.report.layout, dataset.rated, dataset.timed) == ("gorse", False, True)
    assert [film.title for film in dataset.catalog.films] == [f"Repo {i}" for i in range(1, 7)]
    assert dataset.events.timestamps_s.min() == 1_641_031_200  # 2022-01-01 10:00 UTC


def test_metarank_events_hold_items_and_interactions_in_one_file(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"event": "item", "id": f"e{i}", "item": f"p{i}", "timestamp": "1599391467000",
         "fields": [{"name": "title", "value": title}, {"name": "genres", "value": ["drama"]},
                    {"name": "votes", "value": 7.5}]}
        for i, title, _ in items()
    ]  # fmt: skip
    for at, (u, i, _, t) in enumerate(events()):
        about = {"id": str(at), "timestamp": str(int(str(t)) * 1000), "user": f"u{u}", "session": "s"}
        rows.append({"event": "ranking", **about, "fields": [], "items": [{"id": f"p{i}"}]})
        rows.append(
            {"event": "interaction", **about, "ranking": str(at), "type": "click", "item": f"p{i}", "fields": []}
        )
    write_lines(tmp_path / "events.jsonl", rows)
    dataset = read_dataset(tmp_path)
    assert dataset.report.layout == "metarank"
    assert len(dataset.events) == 32
    assert dataset.events.timestamps_s.min() == FIRST_S + 4 * 3600
    assert (dataset.catalog.films[0].movie_id, dataset.catalog.films[0].title) == ("p1", "Film 1")
    assert dataset.catalog.films[0].genres == ("drama",)


def letterboxd(folder: Path) -> Dataset:
    """An export of three ratings."""
    films: list[Row] = [
        (f"2020-01-0{day}", f'"Film, {day}"', 1990 + day, f"https://boxd.it/{day}") for day in (1, 2, 3)
    ]
    header = ("Date", "Name", "Year", "Letterboxd URI")
    write(folder / "ratings.csv", (*header, "Rating"), [(*film, f"{at + 1}.5") for at, film in enumerate(films)])
    write(folder / "watched.csv", header, films)
    write(folder / "profile.csv", ("Date Joined", "Username"), [("2015-01-01", "kinofan")])
    return read_dataset(folder)


def test_a_letterboxd_export_is_one_persons(tmp_path: Path) -> None:
    dataset = letterboxd(tmp_path)
    assert (dataset.report.layout, dataset.user_ids) == ("Letterboxd", ("kinofan",))
    assert dataset.events.ratings.tolist() == [1.5, 2.5, 3.5]
    film = dataset.catalog.films[0]
    assert (film.movie_id, film.title, film.year) == ("https://boxd.it/1", "Film, 1", 1991)


def test_a_shops_invoices_name_their_products_and_what_was_returned_is_left_out(tmp_path: Path) -> None:
    header = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")
    rows = [
        (at, f"{i:05d}A", f"THING {i}", 3, f"12/{13 + at % 9}/2010 8:26", 2.5, u)
        for at, (u, i, _, _) in enumerate(events())
    ]
    rows += [
        (99, "00001A", "THING 1", -3, "12/20/2010 9:00", 2.5, 1),
        (100, "00002A", "THING 2", 1, "12/20/2010 9:00", 2.5, ""),
    ]
    write(tmp_path / "online.csv", header, rows)
    dataset = read_dataset(tmp_path)
    assert dataset.report.table("online.csv").dropped == {NO_PERSON: 1, NOTHING_COUNTED: 1}
    assert dataset.catalog.films[0].title == "THING 1"
    assert dataset.events.timestamps_s.min() == 1_292_228_760  # 2010-12-13 08:26 UTC


def test_movielens_needs_no_description(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["describe", str(movielens(tmp_path, events()))], env={"COLUMNS": "300"})
    assert result.exit_code == 0
    assert "is in MovieLens' format and needs no description" in result.output
    assert not (tmp_path / "data.toml").exists()
