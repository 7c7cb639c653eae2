"""Tests of a data set's content vectors: what is encoded, what is cached, what is absent, what is saved."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

import training.content.encode
import training.content.poster_network
from features.posters import pixels
from features.sources import SOURCE_WIDTHS
from features.text import film_text, open_tokenizer, tokenize
from training.content.encode import ContentOptions, ContentVectors, encode_content
from training.content.poster_encoder import POSTER_WIDTH, PosterEncoder
from training.content.poster_training import SCRATCH_SIZE
from training.content.text_encoder import TEXT_WIDTH
from training.data.dataset import Dataset, read_dataset

FILMS = {
    1: ("Toy Story (1995)", "Animation|Comedy"),
    2: ("Toy Story 2 (1999)", "Animation|Comedy"),
    3: ("Heat (1995)", "Crime|Thriller"),
    4: ("Jaws (1975)", "Horror"),
}


def write_films(folder: Path, films: dict[int, tuple[str, str]]) -> None:
    rows = "".join(f"{movie_id},{title},{genres}\n" for movie_id, (title, genres) in films.items())
    (folder / "movies.csv").write_text(f"movieId,title,genres\n{rows}")


def write_sample(folder: Path) -> Path:
    """Four films in MovieLens' format; posters of films 1, 2 and 3 in plain red, green and blue."""
    (folder / "posters").mkdir(parents=True)
    write_films(folder, FILMS)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,1,4.0,1000000000\n")
    for movie_id, colour in ((1, "red"), (2, "green"), (3, "blue")):
        Image.new("RGB", (90, 135), colour).save(folder / "posters" / f"{movie_id}.jpg")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The four films, for tests that change them."""
    return write_sample(tmp_path / "films")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> ContentOptions:
    """A ResNet50's weights in a file, so that not every test has to train one."""
    path = tmp_path_factory.mktemp("weights") / "resnet50.pth"
    torch.save(PosterEncoder().backbone.state_dict(), path)
    return ContentOptions(poster_weights=str(path))


@pytest.fixture(scope="module", autouse=True)
def one_text_encoder() -> Iterator[None]:
    """Loading it takes a second; it is the same one for every test."""
    with mock.patch.object(
        training.content.encode, "load_text_encoder", functools.cache(training.content.encode.load_text_encoder)
    ):
        yield


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The four films, as they are."""
    return read_dataset(write_sample(tmp_path_factory.mktemp("data") / "films"))


@pytest.fixture(scope="module")
def content(dataset: Dataset, options: ContentOptions, tmp_path_factory: pytest.TempPathFactory) -> ContentVectors:
    """Vectors of the four films."""
    return encode_content(dataset, tmp_path_factory.mktemp("cache"), options)


def encode_counting(dataset: Dataset, cache: Path, options: ContentOptions) -> tuple[ContentVectors, int, int]:
    """Content vectors, and how many texts and posters the encoders were asked for."""
    texts = mock.Mock(side_effect=training.content.encode.encode_texts)
    posters = mock.Mock(side_effect=training.content.encode.encode_posters)
    with (
        mock.patch.object(training.content.encode, "encode_texts", texts),
        mock.patch.object(training.content.encode, "encode_posters", posters),
    ):
        vectors = encode_content(dataset, cache, options)
    n_texts = sum(len(call.args[2]) for call in texts.mock_calls)
    n_posters = sum(len(call.args[1]) for call in posters.mock_calls)
    return vectors, n_texts, n_posters


def test_vectors_are_what_the_encoders_give_for_text_and_poster(dataset: Dataset, content: ContentVectors) -> None:
    tokens = tokenize(open_tokenizer(content.tokenizer_json), [film_text(dataset.catalog.films[2])])
    assert content.image_encoder is not None
    image = pixels(dataset.poster_paths[2].read_bytes(), content.poster_size)
    with torch.inference_mode():
        (text,) = content.text_encoder(*map(torch.from_numpy, tokens))
        (poster,) = content.image_encoder(torch.from_numpy(image[None]))
    # float32 sums over another batch
    np.testing.assert_allclose(content.text[2], text[0], atol=2e-6)
    np.testing.assert_allclose(content.poster[2], poster[0], atol=2e-6)


def test_films_without_poster_are_absent_with_zero_vectors(content: ContentVectors) -> None:
    assert content.poster.shape == (4, POSTER_WIDTH)
    assert content.poster_present.tolist() == [True, True, True, False]
    assert not content.poster[3].any()
    assert content.coverage() == {"text": 1.0, "poster": 0.75}


def test_film_without_overview_has_text(content: ContentVectors) -> None:
    assert content.text.shape == (4, TEXT_WIDTH)
    assert content.text_present.all()
    assert np.argsort(-(content.text @ content.text[0]))[1] == 1  # the sequel


def test_projections_have_the_fused_spaces_widths(content: ContentVectors) -> None:
    assert content.projected_text().shape == (4, SOURCE_WIDTHS["text"])
    assert content.projected_poster().shape == (4, SOURCE_WIDTHS["poster"])
    assert content.projected_poster().dtype == np.float32


def test_projected_vectors_are_centred_over_present_films_and_zero_elsewhere(content: ContentVectors) -> None:
    projected = content.projected_poster()
    np.testing.assert_allclose(projected[:3].mean(axis=0), 0, atol=1e-6)
    assert projected[:3].any(axis=1).all()
    assert not projected[3].any()


def test_data_without_posters_has_no_image_encoder(folder: Path, cache: Path) -> None:
    for poster in (folder / "posters").iterdir():
        poster.unlink()
    content = encode_content(read_dataset(folder), cache)
    assert content.image_encoder is None
    assert content.poster_size == 0
    assert not content.poster_present.any()
    assert content.poster_weights == "none: no posters"
    assert content.coverage() == {"text": 1.0, "poster": 0.0}


def test_posters_can_be_left_alone(dataset: Dataset, cache: Path) -> None:
    content = encode_content(dataset, cache, ContentOptions(posters=False))
    assert content.image_encoder is None
    assert not content.poster_present.any()


def test_unreadable_poster_is_counted_and_left_out(
    folder: Path, cache: Path, options: ContentOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "posters" / "2.jpg").write_bytes(b"no image")
    content = encode_content(read_dataset(folder), cache, options)
    assert content.poster_present.tolist() == [True, False, True, False]
    assert "1 of 3 posters cannot be read" in capsys.readouterr().err


def test_data_whose_posters_are_all_unreadable_has_no_image_encoder(folder: Path, cache: Path) -> None:
    for poster in (folder / "posters").iterdir():
        poster.write_bytes(b"no image")
    content = encode_content(read_dataset(folder), cache, ContentOptions(poster_weights="scratch"))
    assert content.image_encoder is None
    assert not content.poster_present.any()


def test_label_counts_only_the_posters_that_were_learnt_from(folder: Path, cache: Path) -> None:
    (folder / "posters" / "2.jpg").write_bytes(b"no image")
    options = ContentOptions(poster_weights="scratch", poster_epochs=1)
    for _ in ("trained", "from the cache"):
        content = encode_content(read_dataset(folder), cache, options)
        assert content.poster_weights == "trained from scratch on 2 posters"


def test_nothing_is_printed_on_standard_output(
    dataset: Dataset, cache: Path, options: ContentOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    encode_content(dataset, cache, options)
    assert capsys.readouterr().out == ""


def test_second_run_encodes_nothing_and_gives_the_same(dataset: Dataset, cache: Path, options: ContentOptions) -> None:
    first, texts, posters = encode_counting(dataset, cache, options)
    assert (texts, posters) == (4, 3)
    second, texts, posters = encode_counting(dataset, cache, options)
    assert (texts, posters) == (0, 0)
    np.testing.assert_array_equal(second.text, first.text)
    np.testing.assert_array_equal(second.poster, first.poster)


def test_changed_title_and_changed_poster_are_the_only_ones_encoded(
    folder: Path, cache: Path, options: ContentOptions
) -> None:
    before, _, _ = encode_counting(read_dataset(folder), cache, options)
    write_films(folder, FILMS | {4: ("The Birds (1963)", "Horror")})
    Image.new("RGB", (90, 135), "white").save(folder / "posters" / "1.jpg")
    after, texts, posters = encode_counting(read_dataset(folder), cache, options)
    assert (texts, posters) == (1, 1)
    assert (before.text != after.text).any(axis=1).tolist() == [False, False, False, True]
    assert (before.poster != after.poster).any(axis=1).tolist() == [True, False, False, False]


def test_other_poster_weights_encode_the_posters_anew(
    folder: Path, cache: Path, options: ContentOptions, tmp_path: Path
) -> None:
    encode_content(read_dataset(folder), cache, options)
    torch.save(PosterEncoder().backbone.state_dict(), tmp_path / "other.pth")
    _, texts, posters = encode_counting(
        read_dataset(folder), cache, ContentOptions(poster_weights=str(tmp_path / "other.pth"))
    )
    assert (texts, posters) == (0, 3)


def test_weights_from_a_file_are_named_in_the_label(content: ContentVectors) -> None:
    assert content.poster_weights.startswith("from the file resnet50.pth (sha256 ")


def test_poster_network_is_trained_from_scratch_once_and_says_so(folder: Path, cache: Path) -> None:
    options = ContentOptions(poster_weights="scratch", poster_epochs=1)
    train = mock.Mock(side_effect=training.content.poster_network.train_poster_encoder)
    with mock.patch.object(training.content.poster_network, "train_poster_encoder", train):
        first = encode_content(read_dataset(folder), cache, options)
        second = encode_content(read_dataset(folder), cache, options)
        assert train.call_count == 1
        write_films(folder, FILMS | {1: ("Toy Story (1995)", "Horror")})
        encode_content(read_dataset(folder), cache, options)
        assert train.call_count == 2
    assert first.poster_weights == "trained from scratch on 3 posters"
    assert first.poster_size == SCRATCH_SIZE
    np.testing.assert_array_equal(first.poster, second.poster)


def test_damaged_network_in_the_cache_is_trained_again(dataset: Dataset, cache: Path) -> None:
    options = ContentOptions(poster_weights="scratch", poster_epochs=1)
    encode_content(dataset, cache, options)
    (file,) = cache.glob("poster-network-*")
    good = file.read_bytes()
    file.write_bytes(good[: len(good) // 2])
    encode_content(dataset, cache, options)
    assert file.stat().st_size == len(good)


def test_saved_vectors_and_encoders_come_back(content: ContentVectors, tmp_path: Path) -> None:
    content.save(tmp_path / "saved")
    loaded = ContentVectors.load(tmp_path / "saved")
    for name in ("text", "text_present", "poster", "poster_present"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(content, name))
    np.testing.assert_array_equal(loaded.projected_text(), content.projected_text())
    np.testing.assert_array_equal(loaded.projected_poster(), content.projected_poster())
    for name in ("tokenizer_json", "poster_size", "poster_weights"):
        assert getattr(loaded, name) == getattr(content, name)
    image = torch.zeros(1, 3, 64, 64)
    assert content.image_encoder is not None
    assert loaded.image_encoder is not None
    torch.testing.assert_close(loaded.image_encoder(image), content.image_encoder(image), rtol=0, atol=0)


def test_network_trained_from_scratch_is_saved_too(dataset: Dataset, cache: Path, tmp_path: Path) -> None:
    options = ContentOptions(poster_weights="scratch", poster_epochs=1)
    content = encode_content(dataset, cache, options)
    content.save(tmp_path / "saved")
    loaded = ContentVectors.load(tmp_path / "saved")
    assert loaded.poster_weights == "trained from scratch on 3 posters"
    assert loaded.image_encoder is not None


def test_content_without_posters_is_saved_too(dataset: Dataset, cache: Path, tmp_path: Path) -> None:
    encode_content(dataset, cache, ContentOptions(posters=False)).save(tmp_path / "saved")
    assert ContentVectors.load(tmp_path / "saved").image_encoder is None
