"""Reading MovieLens: what a well-formed data set becomes, in each of its layouts."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import read_dataset
from training.data.errors import DataNotFound, UnreadableTable

MOVIES = """movieId,title,genres
30,"Matrix, The (1999)",Action|Sci-Fi
10,Toy Story (1995),Animation|Children
20,Heat,(no genres listed)
"""
RATINGS = """userId,movieId,rating,timestamp
9,10,4.0,2000
9,30,5.0,1000
2,30,0.5,3000
2,10,3.5,3000
"""


def write_folder(folder: Path, **files: str) -> Path:
    """A data set of three films, two people and four ratings; keywords replace or add files (`movies_csv=`)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {"movies_csv": MOVIES, "ratings_csv": RATINGS, **files}.items():
        (folder / name.replace("_csv", ".csv")).write_text(text, encoding="utf-8")
    return folder


def zip_folder(folder: Path, path: Path, prefix: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


def test_films_come_by_ascending_movie_id_with_title_year_and_genres(tmp_path: Path) -> None:
    films = read_dataset(write_folder(tmp_path / "tiny")).catalog.films
    assert [(film.movie_id, film.title, film.year, film.genres) for film in films] == [
        (10, "Toy Story", 1995, ("Animation", "Children")),
        (20, "Heat", None, ()),
        (30, "The Matrix", 1999, ("Action", "Sci-Fi")),
    ]


def test_events_are_sorted_by_person_then_time_then_film(tmp_path: Path) -> None:
    dataset = read_dataset(write_folder(tmp_path / "tiny"))
    assert dataset.user_ids == ("2", "9")
    assert dataset.events.user_rows.tolist() == [0, 0, 1, 1]
    assert dataset.events.item_rows.tolist() == [0, 2, 2, 0]
    assert dataset.events.ratings.tolist() == [3.5, 0.5, 5.0, 4.0]
    assert dataset.events.timestamps_s.tolist() == [3000, 3000, 1000, 2000]
    kinds = [column.dtype for column in (dataset.events.user_rows, dataset.events.item_rows, dataset.events.ratings)]
    assert kinds == [np.int32, np.int32, np.float32]
    assert dataset.events.timestamps_s.dtype == np.int64


def test_user_ids_are_ordered_as_numbers_not_as_words(tmp_path: Path) -> None:
    ratings = "userId,movieId,rating,timestamp\n100,10,4,1\n20,10,4,1\n3,10,4,1\n"
    assert read_dataset(write_folder(tmp_path / "tiny", ratings_csv=ratings)).user_ids == ("3", "20", "100")


IDS = [
    pytest.param("1e8f0b1c-6c3e-4b8f-9f0e-2b7a1f3f9d11", "tt0111161", id="uuid and imdb"),
    pytest.param("ann@example.org", "012345678X", id="address and isbn"),
    pytest.param("175928847299117063", "9223372036854775808", id="numbers beyond 53 bits"),
    pytest.param("000001", "007", id="leading zeros"),
    pytest.param("user:5", "item_5", id="words"),
    pytest.param("-5", "1.0", id="signs and points"),
    pytest.param("Ünal", "日本 1/2", id="other scripts and blanks"),
]


@pytest.mark.parametrize(("person", "film"), IDS)
def test_ids_of_any_kind_are_the_text_of_the_file(tmp_path: Path, person: str, film: str) -> None:
    folder = write_folder(
        tmp_path / "tiny",
        movies_csv=f"movieId,title,genres\n{film},Heat (1995),Crime\n",
        ratings_csv=f"userId,movieId,rating,timestamp\n {person},{film} ,4,1\n",
        tags_csv=f"userId,movieId,tag,timestamp\n{person},{film},fun,1\n",
        metadata_csv=f"movieId,overview,cast,director,country\n{film},,,Michael Mann,\n",
    )
    dataset = read_dataset(folder)
    assert (dataset.user_ids, dataset.report.dropped_rows) == ((person,), 0)
    (read,) = dataset.catalog.films
    assert (str(read.movie_id), read.director, read.tags) == (film, "Michael Mann", ("fun",))


def test_ids_that_differ_by_a_zero_are_two_people_and_two_films(tmp_path: Path) -> None:
    ratings = "userId,movieId,rating,timestamp\n1,5,1,1\n000001,05,2,1\n1,05,3,2\n"
    movies = "movieId,title,genres\n05,Zero,Drama\n5,None,Drama\n"
    dataset = read_dataset(write_folder(tmp_path / "tiny", movies_csv=movies, ratings_csv=ratings))
    assert dataset.user_ids == ("1", "000001")
    assert [(film.movie_id, film.title) for film in dataset.catalog.films] == [(5, "None"), ("05", "Zero")]
    assert dataset.events.user_rows.tolist() == [0, 0, 1]
    assert dataset.events.item_rows.tolist() == [0, 1, 1]
    assert dataset.events.ratings.tolist() == [1.0, 3.0, 2.0]


def test_posters_have_the_name_of_an_id_of_any_kind(tmp_path: Path) -> None:
    movies = "movieId,title,genres\ntt7,Seven,Drama\n007,Bond,Action\n7,Number,Drama\n"
    folder = write_folder(
        tmp_path / "tiny", movies_csv=movies, ratings_csv="userId,movieId,rating,timestamp\na,tt7,5,1\n"
    )
    (folder / "posters").mkdir()
    for name in ("tt7.jpg", "007.jpg"):
        (folder / "posters" / name).write_bytes(name.encode())
    read = read_dataset(folder)
    assert [film.movie_id for film in read.catalog.films] == [7, "007", "tt7"]
    assert {row: path.read_bytes() for row, path in read.poster_paths.items()} == {1: b"007.jpg", 2: b"tt7.jpg"}


def test_a_film_without_a_title_is_called_by_its_id(tmp_path: Path) -> None:
    movies = "movieId,title,genres\n10,,Crime\ntt7,,\n"
    films = read_dataset(write_folder(tmp_path / "tiny", movies_csv=movies)).catalog.films
    assert [(film.title, film.year, film.genres) for film in films] == [("10", None, ("Crime",)), ("tt7", None, ())]


def test_films_that_nobody_rated_stay_in_the_catalogue(tmp_path: Path) -> None:
    dataset = read_dataset(write_folder(tmp_path / "tiny"))
    assert len(dataset.catalog) == 3
    assert dataset.coverage()["ratings"] == pytest.approx(2 / 3)


def test_order_and_further_columns_do_not_matter(tmp_path: Path) -> None:
    ratings = "mood,timestamp,rating,movieId,userId\nhappy,1000,5.0,30,9\nsad,2000,4.0,10,9\n"
    dataset = read_dataset(write_folder(tmp_path / "tiny", ratings_csv=ratings))
    assert dataset.events.item_rows.tolist() == [2, 0]
    assert dataset.events.ratings.tolist() == [5.0, 4.0]


def test_quoted_numbers_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    ratings = '\ufeff"userId","movieId","rating","timestamp"\r\n"9","30","5.0","1000"\r\n'
    dataset = read_dataset(write_folder(tmp_path / "tiny", ratings_csv=ratings))
    assert (dataset.user_ids, dataset.events.ratings.tolist()) == (("9",), [5.0])


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    dataset = read_dataset(write_folder(tmp_path / "tiny", ratings_csv=RATINGS.replace("9,30", "\n9,30") + "\n\n"))
    assert (dataset.report.table("ratings.csv").rows, dataset.report.dropped_rows) == (4, 0)


def test_tags_are_lower_case_and_ordered_by_how_many_people_gave_them(tmp_path: Path) -> None:
    tags = (
        "userId,movieId,tag,timestamp\n"
        "1,10,pixar,1\n1,10,Fun,1\n2,10,fun ,1\n2,10,toys,1\n3,10,toys,1\n4,10,TOYS,1\n"
        # One person saying it three times is one vote.
        '5,10,zzz,1\n5,10,zzz,2\n5,10,"zzz",3\n1,30,"red pill, blue pill",1\n'
    )
    films = read_dataset(write_folder(tmp_path / "tiny", tags_csv=tags)).catalog.films
    assert films[0].tags == ("toys", "fun", "pixar", "zzz")
    assert films[2].tags == ("red pill, blue pill",)


def test_metadata_fills_in_what_movielens_lacks(tmp_path: Path) -> None:
    metadata = (
        "movieId,overview,cast,director,country\n"
        '30,"A hacker, ""Neo"",\nwakes up.",Keanu Reeves|Carrie-Anne Moss,Wachowski,USA\n10,,,John Lasseter,\n'
    )
    dataset = read_dataset(write_folder(tmp_path / "tiny", metadata_csv=metadata))
    toy_story, heat, matrix = dataset.catalog.films
    assert matrix.overview == 'A hacker, "Neo", wakes up.'
    assert matrix.cast == ("Keanu Reeves", "Carrie-Anne Moss")
    assert (matrix.director, matrix.country) == ("Wachowski", "USA")
    assert (toy_story.director, toy_story.overview, heat.director) == ("John Lasseter", "", "")
    assert dataset.report.dropped_rows == 0
    assert dataset.coverage()["overview"] == pytest.approx(1 / 3)


def test_posters_are_found_by_movie_id(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    (folder / "posters").mkdir()
    for name in ("30.jpg", "10.jpeg", "77.jpg", "cover.jpg"):
        (folder / "posters" / name).write_bytes(name.encode())
    dataset = read_dataset(folder)
    assert {row: path.read_bytes() for row, path in dataset.poster_paths.items()} == {0: b"10.jpeg", 2: b"30.jpg"}
    assert dataset.report.posters_without_film == 2


def test_the_documented_folder_is_read_as_the_documentation_says(tmp_path: Path) -> None:
    manual = Path(__file__).parents[3].joinpath("docs", "training.md").read_text(encoding="utf-8")
    (tmp_path / "shop" / "posters").mkdir(parents=True)
    for part in manual.partition("```text\nshop/")[2].partition("```")[0].split("\n\nshop/"):
        name, _, content = part.partition("\n")
        (tmp_path / "shop" / name).write_text(content, encoding="utf-8")
    dataset = read_dataset(tmp_path / "shop")
    assert [(film.movie_id, film.title, film.year) for film in dataset.catalog.films] == [
        (9780141439518, "Pride and Prejudice", 1813),
        ("014044789X", "The Idiot", None),
        ("b-17", "b-17", None),
    ]
    idiot = dataset.catalog.films[1]
    assert (idiot.director, idiot.cast) == ("Fyodor Dostoevsky", ("Myshkin", "Nastasya"))
    assert idiot.overview == "A prince comes home, and is too good for it."
    assert (dataset.user_ids, list(dataset.poster_paths)) == (("000001", "ann@example.org"), [1])
    assert (dataset.report.dropped_rows, dataset.report.posters_without_film) == (0, 0)


@pytest.mark.parametrize("prefix", ["", "tiny/"])
def test_a_zip_reads_like_its_folder(tmp_path: Path, prefix: str) -> None:
    folder = write_folder(tmp_path / "tiny", tags_csv="userId,movieId,tag,timestamp\n1,10,fun,1\n")
    (folder / "posters").mkdir()
    (folder / "posters" / "30.jpg").write_bytes(b"a picture")
    unpacked = read_dataset(folder)
    zipped = read_dataset(zip_folder(folder, tmp_path / "tiny.zip", prefix))
    assert zipped.name == unpacked.name == "tiny"
    assert zipped.fingerprint == unpacked.fingerprint
    assert zipped.catalog.films == unpacked.catalog.films
    assert zipped.user_ids == unpacked.user_ids
    assert np.array_equal(zipped.events.item_rows, unpacked.events.item_rows)
    assert zipped.poster_paths[2].read_bytes() == b"a picture"


def test_a_folder_around_the_data_is_entered(tmp_path: Path) -> None:
    write_folder(tmp_path / "ml-25m")
    assert read_dataset(tmp_path).name == "ml-25m"


def test_two_data_sets_in_one_folder_are_not_guessed_between(tmp_path: Path) -> None:
    write_folder(tmp_path / "one")
    write_folder(tmp_path / "two")
    with pytest.raises(DataNotFound, match=r"found: one/movies\.csv"):
        read_dataset(tmp_path)


def test_simulated_people_are_marked(tmp_path: Path) -> None:
    assert not read_dataset(write_folder(tmp_path / "real")).simulated
    marked = write_folder(tmp_path / "marked")
    (marked / "SIMULATED.txt").write_text("simulated")
    assert read_dataset(marked).simulated


@pytest.mark.parametrize("changed", ["ratings.csv", "movies.csv", "tags.csv", "metadata.csv", "posters/10.jpg"])
def test_the_fingerprint_follows_every_file_that_is_used(tmp_path: Path, changed: str) -> None:
    folder = write_folder(
        tmp_path / "tiny",
        tags_csv="userId,movieId,tag,timestamp\n1,10,fun,1\n",
        metadata_csv="movieId,overview,cast,director,country\n10,,,John Lasseter,\n",
    )
    (folder / "posters").mkdir()
    (folder / "posters" / "10.jpg").write_bytes(b"\n")
    before = read_dataset(folder).fingerprint
    assert read_dataset(folder).fingerprint == before
    with (folder / changed).open("ab") as stream:
        stream.write(b"\n")
    assert read_dataset(folder).fingerprint != before


def test_the_fingerprint_ignores_files_that_are_not_used(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "tiny")
    before = read_dataset(folder).fingerprint
    (folder / "links.csv").write_text("movieId,imdbId,tmdbId\n")
    assert read_dataset(folder).fingerprint == before


def test_nothing_there_is_said_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(DataNotFound, match=r"no such folder or zip file.*python -m training download"):
        read_dataset(tmp_path / "ml-25m.zip")


def test_a_folder_without_data_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "movies.csv").write_text(MOVIES)
    with pytest.raises(DataNotFound, match=r"found: movies\.csv"):
        read_dataset(tmp_path)


def test_half_a_zip_is_refused(tmp_path: Path) -> None:
    whole = zip_folder(write_folder(tmp_path / "tiny"), tmp_path / "tiny.zip", "tiny/").read_bytes()
    half = tmp_path / "half.zip"
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableTable, match="not a whole zip file"):
        read_dataset(half)


def test_a_zip_with_a_flipped_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("movies.csv", MOVIES)
        archive.writestr("ratings.csv", RATINGS)
    damaged = path.read_bytes().replace(b"9,10,4.0,2000", b"9,10,4.5,2000")
    path.write_bytes(damaged)
    with pytest.raises(UnreadableTable, match=r"tiny\.zip cannot be read: the zip is damaged.*ratings\.csv"):
        read_dataset(path)


ML_100K_ITEMS = (
    "1|Toy Story (1995)|01-Jan-1995||http://x|0|0|0|1|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    "2|Misérables, Les (1995)|01-Jan-1995||http://x|0|0|0|0|0|0|0|0|1|0|0|0|1|0|0|0|0|0|0\n"
    "3|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
)


def write_ml_100k(folder: Path, items: str = ML_100K_ITEMS, ratings: str = "7\t2\t3\t100\n5\t1\t1\t200\n") -> Path:
    folder.mkdir()
    (folder / "u.item").write_bytes(items.encode("latin-1"))
    (folder / "u.data").write_text(ratings)
    return folder


def test_ml_100k_is_read_in_its_own_layout(tmp_path: Path) -> None:
    dataset = read_dataset(write_ml_100k(tmp_path / "ml-100k"))
    assert [(film.title, film.year, film.genres) for film in dataset.catalog.films] == [
        ("Toy Story", 1995, ("Animation", "Children", "Comedy")),
        ("Les Misérables", 1995, ("Drama", "Musical")),
        ("unknown", None, ()),
    ]
    assert dataset.user_ids == ("5", "7")
    assert dataset.events.item_rows.tolist() == [0, 1]
    assert dataset.events.ratings.tolist() == [1.0, 3.0]
    assert dataset.report.layout == "ml-100k"


def test_ml_100k_reads_from_its_zip(tmp_path: Path) -> None:
    folder = write_ml_100k(tmp_path / "ml-100k")
    zipped = read_dataset(zip_folder(folder, tmp_path / "ml-100k.zip", "ml-100k/"))
    assert zipped.fingerprint == read_dataset(folder).fingerprint
    assert zipped.events.ratings.tolist() == [1.0, 3.0]


ML_1M_MOVIES = "1::Toy Story (1995)::Animation|Children's\n2::Misérables, Les (1995)::Drama|Musical\n"
ML_1M_RATINGS = "7::2::3::978300760\n5::1::5::978302109\n"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])  # ml-1m's, and ml-10m's
def test_dat_files_are_read_as_csv_files_are(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "movies.dat").write_bytes(ML_1M_MOVIES.encode(encoding))
    (tmp_path / "ratings.dat").write_text(ML_1M_RATINGS)
    dataset = read_dataset(tmp_path)
    assert [(film.movie_id, film.title, film.year, film.genres) for film in dataset.catalog.films] == [
        (1, "Toy Story", 1995, ("Animation", "Children")),
        (2, "Les Misérables", 1995, ("Drama", "Musical")),
    ]
    assert dataset.user_ids == ("5", "7")
    assert dataset.events.item_rows.tolist() == [0, 1]
    assert dataset.events.ratings.tolist() == [5.0, 3.0]
    assert dataset.events.timestamps_s.tolist() == [978302109, 978300760]
    assert (dataset.report.layout, dataset.report.dropped_rows) == ("ml-1m", 0)


def test_half_stars_and_tags_of_dat_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "movies.dat").write_text(ML_1M_MOVIES)
    (tmp_path / "ratings.dat").write_text("7::2::3.5::978300760\r\n")
    (tmp_path / "tags.dat").write_text("7::2::Sad::1\n8::2::french::1\n9::2::sad::1\n")
    dataset = read_dataset(tmp_path)
    assert dataset.events.ratings.tolist() == [3.5]
    assert dataset.catalog.films[1].tags == ("sad", "french")


@pytest.mark.skipif("MOVIELENS_DIR" not in os.environ, reason="needs MOVIELENS_DIR, a folder of ml-latest-small")
def test_the_real_movielens_is_read_whole() -> None:
    dataset = read_dataset(Path(os.environ["MOVIELENS_DIR"]))
    # The numbers are those of MovieLens' own README.
    assert (len(dataset.user_ids), len(dataset.catalog), len(dataset.events)) == (610, 9742, 100836)
    assert dataset.report.dropped_rows == 0
    assert not dataset.simulated
    matrix = dataset.catalog.films[dataset.catalog.row_of(2571) or 0]
    assert (matrix.title, matrix.year, matrix.genres) == ("The Matrix", 1999, ("Action", "Sci-Fi", "Thriller"))
    order = np.lexsort((dataset.events.item_rows, dataset.events.timestamps_s, dataset.events.user_rows))
    assert np.array_equal(order, np.arange(100836))
