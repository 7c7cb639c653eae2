"""Tests of the poster encoder: its weights from a file, and its training from scratch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from training.content.poster_encoder import (
    IMAGENET_FILES,
    POSTER_WIDTH,
    PosterEncoder,
    WeightsNotFound,
    WeightsRefused,
    WeightsUnreachable,
    cached_imagenet_weights,
    download_imagenet_weights,
    load_poster_encoder,
)
from training.content.poster_training import (
    BATCH_SIZE,
    SCRATCH_MARGIN,
    SCRATCH_SIZE,
    PosterExamples,
    PosterTraining,
    era_of,
    genre_targets,
    steps_per_epoch,
    train_poster_encoder,
)

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def encoder() -> PosterEncoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return PosterEncoder().eval()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(3, 3, 64, 64)).astype(np.float32))


def with_classifier(state: State) -> State:
    return {**state, "fc.weight": torch.zeros(1000, POSTER_WIDTH), "fc.bias": torch.zeros(1000)}


def embed(encoder: PosterEncoder, images: Tensor) -> np.ndarray:
    with torch.inference_mode():
        (embedding,) = encoder(images)
    return embedding.numpy()


def test_embedding_is_2048_wide_and_of_length_one(encoder: PosterEncoder, images: Tensor) -> None:
    vectors = embed(encoder, images)
    assert vectors.shape == (3, POSTER_WIDTH)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_embedding_of_an_image_does_not_depend_on_its_batch(encoder: PosterEncoder, images: Tensor) -> None:
    # float32 sums in another order
    np.testing.assert_allclose(embed(encoder, images[:1])[0], embed(encoder, images)[0], atol=1e-6)


@pytest.mark.parametrize("size", [32, 96])
def test_other_image_sizes_run(encoder: PosterEncoder, size: int) -> None:
    assert embed(encoder, torch.zeros(1, 3, size, size)).shape == (1, POSTER_WIDTH)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_of_a_file_give_the_vectors_they_gave_before(
    suffix: str, encoder: PosterEncoder, images: Tensor, tmp_path: Path
) -> None:
    file = tmp_path / f"weights{suffix}"
    state = with_classifier(encoder.backbone.state_dict())
    save_file(state, file) if suffix == ".safetensors" else torch.save(state, file)
    np.testing.assert_array_equal(embed(load_poster_encoder(file), images), embed(encoder, images))


def test_weights_wrapped_by_a_training_program_are_read(encoder: PosterEncoder, images: Tensor, tmp_path: Path) -> None:
    torch.save({"epoch": 9, "state_dict": encoder.backbone.state_dict()}, tmp_path / "checkpoint.pth")
    loaded = load_poster_encoder(tmp_path / "checkpoint.pth")
    np.testing.assert_array_equal(embed(loaded, images), embed(encoder, images))


def drop_a_layer(state: State) -> object:
    return {name: tensor for name, tensor in state.items() if name != "layer4.2.conv3.weight"}


def add_a_layer(state: State) -> object:
    return {**state, "layer5.weight": torch.zeros(2)}


def narrow_a_layer(state: State) -> object:
    return {**state, "conv1.weight": torch.zeros(64, 1, 7, 7)}


def spoil_a_value(state: State) -> object:
    return {**state, "conv1.weight": torch.full((64, 3, 7, 7), torch.nan)}


def not_tensors(state: State) -> object:
    return ["not", "tensors"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (drop_a_layer, r"1 tensors are missing, the first is 'layer4\.2\.conv3\.weight'"),
        (add_a_layer, r"1 tensors are of another network, the first is 'layer5\.weight'"),
        (narrow_a_layer, r"conv1\.weight has shape \(64, 1, 7, 7\), not \(64, 3, 7, 7\)"),
        (spoil_a_value, r"conv1\.weight holds values that are not finite"),
        (not_tensors, "no dictionary of tensors"),
    ],
)
def test_file_of_other_weights_is_refused(
    change: Callable[[State], object], words: str, encoder: PosterEncoder, tmp_path: Path
) -> None:
    torch.save(change(dict(encoder.backbone.state_dict())), tmp_path / "weights.pth")
    with pytest.raises(WeightsRefused, match=words):
        load_poster_encoder(tmp_path / "weights.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 broken"])
def test_file_that_is_no_weights_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / f"weights{suffix}").write_bytes(content)
    with pytest.raises(WeightsRefused, match=r"weights\.\w+ holds no weights of a torchvision ResNet50"):
        load_poster_encoder(tmp_path / f"weights{suffix}")


class RunsWhenUnpickled:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("executed"),)


def test_code_in_a_weights_file_is_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": RunsWhenUnpickled()}, tmp_path / "weights.pth")
    with pytest.raises(WeightsRefused):
        load_poster_encoder(tmp_path / "weights.pth")
    assert not (tmp_path / "executed").exists()


def test_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(WeightsNotFound, match=r"nowhere\.pth do not exist; give a ResNet50 state dict"):
        load_poster_encoder(tmp_path / "nowhere.pth")


def test_imagenet_weights_are_found_where_torch_hub_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert cached_imagenet_weights() is None
    (tmp_path / "checkpoints").mkdir()
    for name in IMAGENET_FILES.values():
        (tmp_path / "checkpoints" / name).touch()
    assert cached_imagenet_weights() == tmp_path / "checkpoints" / IMAGENET_FILES["IMAGENET1K_V1"]


def test_imagenet_files_are_named_as_torchvision_names_them() -> None:
    from torchvision.models import ResNet50_Weights

    assert {weights.name: weights.url.rpartition("/")[2] for weights in ResNet50_Weights} == IMAGENET_FILES


def test_failed_download_says_what_else_can_be_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import ResNet50_Weights

    def no_network(*args: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(ResNet50_Weights, "get_state_dict", no_network)
    with pytest.raises(WeightsUnreachable, match=r"resnet50-0676ba61\.pth \(.*no route to host.*give them as a file"):
        download_imagenet_weights()


def test_rare_genres_weigh_more_in_what_a_film_teaches() -> None:
    # 4 dramas, of which one is also a western; a western weighs 1 / 1, a drama 1 / 4, so shares are .8 and .2
    genres = np.array([[1, 0], [1, 0], [1, 0], [1, 1], [0, 0]], dtype=np.float32)
    shares = np.array([[1, 0], [1, 0], [1, 0], [0.2, 0.8], [0, 0]])
    np.testing.assert_allclose(genre_targets(genres), shares, atol=1e-6)


@pytest.mark.parametrize(
    ("year", "era"), [(None, -1), (1895, 0), (1949, 0), (1950, 1), (1969, 1), (1999, 4), (2010, 6), (2026, 6)]
)
def test_year_falls_into_its_era(year: int | None, era: int) -> None:
    assert era_of(year) == era


def test_small_sets_are_one_batch_an_epoch() -> None:
    assert [steps_per_epoch(n) for n in (1, BATCH_SIZE, 2 * BATCH_SIZE - 1, 2 * BATCH_SIZE)] == [1, 1, 1, 2]


def coloured_examples(n: int) -> tuple[PosterExamples, np.ndarray]:
    """Noise whose red or blue channel is raised: the first genre is red, the second blue. Labels too."""
    random = np.random.default_rng(5)
    labels = np.arange(n) % 2
    size = SCRATCH_SIZE + SCRATCH_MARGIN
    images = random.normal(size=(n, 3, size, size)).astype(np.float32)
    images[np.arange(n), np.where(labels == 0, 0, 2)] += 1
    genres = np.eye(2, dtype=np.float32)[labels]
    return PosterExamples(images, genres, np.full(n, -1)), labels


def test_network_trained_from_scratch_tells_genres_apart_on_new_posters() -> None:
    examples, _ = coloured_examples(64)
    trained = train_poster_encoder(examples, PosterTraining(epochs=3))
    fresh, labels = coloured_examples(80)
    images = fresh.images[64:, :, SCRATCH_MARGIN:, SCRATCH_MARGIN:]
    vectors = embed(trained, torch.from_numpy(np.ascontiguousarray(images)))
    same_genre = labels[64:, None] == labels[None, 64:]
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    assert same_genre[np.arange(16), cosines.argmax(axis=1)].all()


def test_training_is_reproduced_by_its_seed() -> None:
    examples, _ = coloured_examples(32)
    losses: list[list[float]] = [[], [], []]
    for seed, reported in zip((0, 0, 1), losses, strict=True):
        train_poster_encoder(examples, PosterTraining(epochs=1, seed=seed), reported.append)
    assert losses[0] == losses[1] != losses[2]


def test_training_leaves_torchs_random_state_alone() -> None:
    examples, _ = coloured_examples(8)
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    train_poster_encoder(examples, PosterTraining(epochs=1))
    assert torch.equal(torch.rand(3), expected)
