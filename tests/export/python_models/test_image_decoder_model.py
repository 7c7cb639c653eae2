"""The image decoder model: the same pixels as training's, broken images refused one by one."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from features.posters import IMAGENET_MEAN, IMAGENET_STD, pixels

ROOT = Path(__file__).resolve().parents[3]
SIZE = 32


@pytest.fixture(scope="module")
def model(load_python_model: Callable[..., Any]) -> Any:
    settings = b'{"image_size": 32}'
    return load_python_model("image_decoder", [ROOT / "features" / "posters.py"], {"settings.json": settings})


def poster(colour: tuple[int, int, int], size: tuple[int, int] = (60, 90)) -> bytes:
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


def images(*values: bytes) -> dict[str, npt.NDArray[Any]]:
    return {"IMAGE": np.array([[value] for value in values], dtype=object)}


def test_a_red_poster_becomes_normalised_red(model: Any) -> None:
    (answer,) = model.infer(images(poster((255, 0, 0))))
    assert answer["pixels"].dtype == np.float32
    assert answer["pixels"].shape == (1, 3, SIZE, SIZE)
    expected = (np.array([1, 0, 0]) - IMAGENET_MEAN) / IMAGENET_STD
    np.testing.assert_allclose(
        answer["pixels"][0], np.broadcast_to(expected[:, None, None], (3, SIZE, SIZE)), rtol=1e-6
    )


def test_images_of_all_requests_keep_their_places(model: Any) -> None:
    posters = [poster((shade, 255 - shade, 0)) for shade in (0, 60, 120, 180, 240)]
    two, three = model.infer(images(*posters[:2]), images(*posters[2:]))
    together = np.concatenate([two["pixels"], three["pixels"]])
    np.testing.assert_array_equal(together, np.stack([pixels(one, SIZE) for one in posters]))


def test_a_broken_image_fails_alone(model: Any, pb_utils: Any) -> None:
    good = images(poster((0, 0, 255)))
    before, error, after = model.infer(good, images(poster((0, 0, 0)), b"not an image"), good)
    assert error.message().startswith("IMAGE 1: not a readable image")
    assert error.code() == pb_utils.TritonError.INVALID_ARG
    np.testing.assert_array_equal(before["pixels"], after["pixels"])
