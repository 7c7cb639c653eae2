"""The embedded sample as files, and its posters."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from features.catalog import GENRES, Film
from sample import FolderInUse, write_sample
from sample import folder as sample_folder
from sample.films import sample_films
from sample.posters import HEIGHT, WIDTH, draw_poster, telling_genres
from sample.posters.eras import ERAS, era_of
from sample.posters.scenes import SCENES
from training.data.dataset import read_dataset
from training.data.errors import DataNotFound
from training.data.location import locate_data

FEW = sample_films()[::24]


def test_the_catalogue_holds_hundreds_of_films_that_are_whole() -> None:
    films = sample_films()
    assert len(films) >= 320
    assert len({film.movie_id for film in films}) == len({(film.title, film.year) for film in films}) == len(films)
    for film in films:
        assert film.year is not None
        assert 1888 <= film.year <= 2030
        assert set(film.genres) <= set(GENRES)
        assert film.genres
        assert all((film.director, film.cast, film.country, film.overview, film.tags))


def test_the_sample_reads_back_as_it_was_planted(tmp_path: Path) -> None:
    world = write_sample(tmp_path / "sample", people=60, films=FEW)
    dataset = read_dataset(tmp_path / "sample")
    assert dataset.simulated
    assert dataset.report.dropped_rows == 0
    assert dataset.user_ids == tuple(str(number) for number in range(1, 61))
    assert np.array_equal(dataset.events.user_rows, world.user_rows)
    assert np.array_equal(dataset.events.item_rows, world.item_rows)
    assert np.array_equal(dataset.events.timestamps_s, world.timestamps_s)
    assert np.array_equal(dataset.events.ratings, world.ratings)
    for read, planted in zip(dataset.catalog.films, FEW, strict=True):
        assert (read.title, read.year, read.genres) == (planted.title, planted.year, planted.genres)
        assert (read.overview, read.cast) == (planted.overview, planted.cast)
        assert (read.director, read.country) == (planted.director, planted.country)
        assert set(read.tags) == {tag.lower() for tag in planted.tags}
    assert set(dataset.coverage().values()) == {1.0}


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_sample(tmp_path / name, people=30, seed=11, films=FEW)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 6 + len(FEW)
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_folder_says_that_its_people_are_simulated(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample", people=20, films=FEW)
    for name in ("README.txt", "SIMULATED.txt"):
        assert "SIMULATED" in (tmp_path / "sample" / name).read_text(encoding="utf-8")


def test_a_folder_that_holds_other_things_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("precious")
    with pytest.raises(FolderInUse, match="is not empty and holds no earlier sample"):
        write_sample(tmp_path, people=20, films=FEW)
    assert (tmp_path / "ratings.csv").read_text() == "precious"


def test_an_earlier_sample_is_overwritten(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample", people=30, films=FEW)
    write_sample(tmp_path / "sample", people=20, films=FEW)
    assert len(read_dataset(tmp_path / "sample").user_ids) == 20


def test_an_earlier_sample_leaves_no_posters_behind(tmp_path: Path) -> None:
    write_sample(tmp_path / "sample", people=20, films=FEW)
    write_sample(tmp_path / "sample", people=20, films=FEW[:20])
    assert read_dataset(tmp_path / "sample").report.posters_without_film == 0


def test_the_default_sample_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_folder, "sample_films", lambda: FEW)
    monkeypatch.setattr(sample_folder, "DEFAULT_PEOPLE", 20)
    first = locate_data("sample", tmp_path)
    written = (first / "ratings.csv").stat().st_mtime_ns
    assert locate_data("sample", tmp_path) == first
    assert (first / "ratings.csv").stat().st_mtime_ns == written
    assert first.name == "sample"
    assert [path.name for path in first.parent.iterdir()] == ["sample"]


def test_a_failed_write_leaves_no_half_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_is_full(film: Film) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sample_folder, "draw_poster", disk_is_full)
    monkeypatch.setattr(sample_folder, "sample_films", lambda: FEW)
    with pytest.raises(OSError, match="No space left"):
        locate_data("sample", tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_data_is_found_by_path_and_by_the_name_of_a_download(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ml-25m.zip").write_bytes(b"")
    assert locate_data("ml-25m", tmp_path) == tmp_path / "data" / "ml-25m.zip"
    assert locate_data(str(tmp_path / "data"), tmp_path) == tmp_path / "data"


def test_data_that_is_nowhere_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound, match=r"no data at ml-32m.*python -m training download"):
        locate_data("ml-32m", tmp_path)


def test_a_poster_is_a_jpeg_of_the_stated_size() -> None:
    image = Image.open(io.BytesIO(draw_poster(FEW[0])))
    assert (image.format, image.size, image.mode) == ("JPEG", (WIDTH, HEIGHT), "RGB")


def test_every_scene_draws_in_every_era() -> None:
    years = [era.last_year for era in ERAS[:-1]] + [2020]
    number = 0
    for genre in SCENES:
        for year in years:
            number += 1
            draw_poster(Film(number, f"Film Number {number}", year, (genre,), "Some Director", ("One", "Two")))


def test_a_film_of_which_little_is_known_has_a_poster_too() -> None:
    assert Image.open(io.BytesIO(draw_poster(Film(1, "Untitled")))).size == (WIDTH, HEIGHT)


def test_two_films_of_the_same_year_and_genre_look_different() -> None:
    first, second = (pixels_of(Film(1, title, 1994, ("Western",))) for title in ("Dust", "More Dust"))
    assert np.abs(first - second).mean() > 8


def test_genre_and_era_show_in_the_picture() -> None:
    """The poster that looks most alike is far more often of the same genre and era than chance would have it."""
    films = sample_films()[::3]
    pictures = np.stack([pixels_of(film, size=(12, 18)).ravel() for film in films])
    apart = ((pictures[:, None] - pictures) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    nearest = apart.argmin(axis=1)
    for labels in ([telling_genres(film)[0] for film in films], [era_of(film.year).name for film in films]):
        numbers = np.unique(labels, return_inverse=True)[1]
        by_chance = ((np.bincount(numbers) / len(numbers)) ** 2).sum()
        assert (numbers == numbers[nearest]).mean() > 3 * by_chance


def pixels_of(film: Film, size: tuple[int, int] = (WIDTH, HEIGHT)) -> npt.NDArray[np.float32]:
    return np.asarray(Image.open(io.BytesIO(draw_poster(film))).resize(size), dtype=np.float32)
