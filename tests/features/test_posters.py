"""Tests of `features.posters`: an encoded image becomes the pixels that ImageNet networks expect."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from features import posters
from features.posters import (
    FORMATS,
    IMAGENET_MEAN,
    IMAGENET_STD,
    MAX_PIXELS,
    ImageTooLarge,
    ImageTooNarrow,
    UnreadableImage,
    pixels,
)


def encoded(image: Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def halves(width: int, height: int) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), (255, 0, 0))
    image.paste((0, 0, 255), (width // 2, 0, width, height))
    return image


def colours(normalised: np.ndarray) -> np.ndarray:
    """Back from normalised (3, S, S) to 0..255 (S, S, 3)."""
    return (normalised.transpose(1, 2, 0) * IMAGENET_STD + IMAGENET_MEAN) * 255


def test_plain_colour_is_normalised_by_imagenets_mean_and_deviation() -> None:
    white = pixels(encoded(Image.new("RGB", (40, 60), "white")), 8)
    assert white.shape == (3, 8, 8)
    assert white.dtype == np.float32
    # (1 - mean) / std, worked out by hand
    np.testing.assert_allclose(white[:, 0, 0], [2.2489, 2.4286, 2.6400], atol=1e-4)


def test_pixels_are_contiguous_for_the_wire() -> None:
    assert pixels(encoded(halves(40, 60)), 8).flags.c_contiguous


@pytest.mark.parametrize("size", [(300, 450), (450, 300), (31, 77), (64, 64), (1000, 101)])
@pytest.mark.parametrize("target", [64, 224])
def test_pixels_equal_torchvisions_imagenet_transform(size: tuple[int, int], target: int) -> None:
    from training.content.torchvision_guard import guard_torchvision

    guard_torchvision()
    import torch
    from torchvision.transforms import v2

    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    transform = v2.Compose(
        [
            v2.Resize(round(target * 256 / 224)),
            v2.CenterCrop(target),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(IMAGENET_MEAN.tolist(), IMAGENET_STD.tolist()),
        ]
    )
    # both are float32 divisions of the same bytes
    np.testing.assert_allclose(pixels(encoded(image), target), transform(image).numpy(), atol=1e-6)


def test_image_is_turned_upright_by_its_exif_orientation() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held so that the picture must be turned 90 degrees clockwise
    upright = colours(pixels(encoded(halves(60, 60), "JPEG", exif=turned, quality=95), 56))
    assert upright[5, 28, 0] > 200  # red, which was on the left, is on top
    assert upright[50, 28, 2] > 200


@pytest.mark.parametrize("file_format", FORMATS)
def test_every_listed_format_is_read(file_format: str) -> None:
    shown = colours(pixels(encoded(halves(60, 60), file_format), 56))
    assert shown[28, 5, 0] > 200
    assert shown[28, 50, 2] > 200


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_colour_mode_becomes_three_channels(mode: str) -> None:
    file_format = "JPEG" if mode == "CMYK" else "PNG"
    white = Image.new("I;16", (40, 40), 65_535) if mode == "I;16" else Image.new("RGB", (40, 40), "white").convert(mode)
    np.testing.assert_allclose(colours(pixels(encoded(white, file_format), 32)), 255, atol=1)


def test_sixteen_bits_a_pixel_are_scaled_to_eight() -> None:
    grey = Image.new("I;16", (40, 40), 128 * 256)
    np.testing.assert_allclose(colours(pixels(encoded(grey), 32)), 128, atol=1)


def test_palette_with_transparency_is_read_without_a_warning() -> None:
    palette = halves(40, 40).convert("P")
    shown = colours(pixels(encoded(palette, "PNG", transparency=b"\x00\xff\x80"), 32))
    assert shown[16, 2, 0] > 200


def test_only_the_first_picture_of_an_animation_is_read() -> None:
    first, second = Image.new("RGB", (40, 40), "white"), Image.new("RGB", (40, 40), "black")
    shown = colours(pixels(encoded(first, "GIF", save_all=True, append_images=[second]), 32))
    np.testing.assert_allclose(shown, 255, atol=1)


@pytest.mark.parametrize(
    "damaged",
    [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n", b"<svg/>"],
    ids=["empty", "text", "signature alone", "postscript", "svg"],
)
def test_what_is_no_image_is_refused(damaged: bytes) -> None:
    with pytest.raises(UnreadableImage, match="not a readable image"):
        pixels(damaged, 32)


@pytest.mark.parametrize("file_format", ["TIFF", "PPM", "ICO", "EPS"])
def test_formats_that_pillow_reads_and_the_list_does_not_hold_are_refused(file_format: str) -> None:
    with pytest.raises(UnreadableImage, match=r"not a readable image \(JPEG, PNG, WEBP, GIF, BMP\): cannot identify"):
        pixels(encoded(Image.new("RGB", (64, 64)), file_format), 32)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_image_cut_off_in_the_middle_is_refused(file_format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = encoded(noise, file_format)
    with pytest.raises(UnreadableImage):
        pixels(whole[: len(whole) // 2], 32)


def test_image_of_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    side = int(MAX_PIXELS**0.5) + 1
    bomb = encoded(Image.new("1", (side, side)))
    assert len(bomb) < 100_000
    with pytest.raises(ImageTooLarge, match=f"{side} x {side} pixels; at most {MAX_PIXELS}"):
        pixels(bomb, 32)


def test_as_many_pixels_as_are_allowed_are_read_and_one_row_more_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posters, "MAX_PIXELS", 40 * 60)
    assert pixels(encoded(Image.new("RGB", (40, 60))), 8).shape == (3, 8, 8)
    with pytest.raises(ImageTooLarge, match="40 x 61 pixels"):
        pixels(encoded(Image.new("RGB", (40, 61))), 8)


@pytest.mark.parametrize("upright", [True, False])
def test_one_side_may_be_ten_times_the_other_and_no_longer(upright: bool) -> None:
    allowed, refused = ((20, 200), (20, 201)) if upright else ((200, 20), (201, 20))
    assert pixels(encoded(Image.new("RGB", allowed)), 8).shape == (3, 8, 8)
    with pytest.raises(ImageTooNarrow, match=f"{refused[0]} x {refused[1]} pixels; one side may be 10 x the other"):
        pixels(encoded(Image.new("RGB", refused)), 8)


def test_image_past_pillows_own_limit_is_refused_in_our_words() -> None:
    header = encoded(Image.new("1", (8, 8)))
    width_and_height = (50_000).to_bytes(4, "big") * 2
    with pytest.raises(UnreadableImage):
        pixels(header[:16] + width_and_height + header[24:], 32)


def test_strip_that_would_grow_enormous_is_refused() -> None:
    with pytest.raises(ImageTooNarrow, match="1 x 5000 pixels"):
        pixels(encoded(Image.new("RGB", (1, 5_000))), 224)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's word about damage that it can read past
@settings(max_examples=300, deadline=None)
@given(
    file_format=st.sampled_from(FORMATS),
    places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_bytes_are_read_or_refused_but_never_crash(file_format: str, places: list[tuple[float, int]]) -> None:
    damaged = bytearray(encoded(halves(24, 24), file_format))
    for place, value in places:
        damaged[int(place * len(damaged))] = value
    try:
        read = pixels(bytes(damaged), 32)
    except UnreadableImage:
        return
    assert read.shape == (3, 32, 32)
    assert np.isfinite(read).all()
