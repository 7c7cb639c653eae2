"""Colours of each genre: a few palettes per genre, so that films of one genre are similar but not equal."""

from __future__ import annotations

from dataclasses import dataclass

Color = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Palette:
    """Six colours from the back of the picture to the front, and its light."""

    top: Color
    """The sky's zenith."""
    low: Color
    """The sky at the horizon."""
    far: Color
    mid: Color
    near: Color
    """The darkest: silhouettes in front."""
    light: Color
    """Sun, lamps, letters."""


_HEX = {
    "Action": ("1b1b22 d9481c 8f2a14 3b1712 0b090b ffcf4a", "101a2b 3f6c9b 26476b 14243b 060a12 ff9a2e",
               "2c0b0b e03a1e f58f29 6a1710 100505 ffe9a8"),
    "Adventure": ("1c7c8c f6d6a0 5fa59a 24616a 0f2d38 fff0c9", "e8894a f9dfa4 b8633f 7a3f33 2b1a22 fff4d2",
                  "3a6ea5 bfe0d8 6f9e8a 3d6b5e 17302f ffe8a3"),
    "Animation": ("5cc8f2 d8f5ff 8fdb7d 3fae6b 1f5d57 fff04d", "ff9ecb ffe1ef b78cf2 6f5bd6 32256e ffe66d",
                  "ffb347 fff0b8 74d3c2 2f9fa6 1b4d66 ffffff"),
    "Children": ("bfe7f5 fdf6d8 f7b267 e4715c 39486b ffffff", "ffe3a6 fff6da 9ad0b0 4f9d8c 2f4858 ff6f59",
                 "cdb8f0 fbe8f5 f5a3b5 8367c7 3a2d63 fff7c2"),
    "Comedy": ("ffd23f ffe98a ff8c42 ee4266 2b2d5b ffffff", "3bb7c4 a7e3dc ffd166 ef5b5b 1f3a5f fffbe8",
               "ff9770 ffd6a0 ffd670 5fa8a0 3a2f5c fffdf2"),
    "Crime": ("1a0c10 8c1c22 4a1217 260a0d 0a0405 f6e3c5", "0f1620 2f4a63 22364a 131f2c 06090e f2b134",
              "2a2118 b98a4a 6d4d2b 3a2817 120c07 fff0cc"),
    "Documentary": ("e9e4d8 f7f3ea b9c4c0 5f7f86 20313a d9532c", "dfe6ea f5f8f9 a9bcc6 4d6f86 1b2b38 e0a11b",
                    "ece6da faf6ec c7c3ad 7f8a5a 2b3320 b8402a"),
    "Drama": ("8fa6ad e6ddcb 7f8f8c 55646a 22292f fff5df", "c9a77c f0e2c6 a57d58 6e4f3d 2a1e1b fff8e6",
              "4d5a73 c8b7a8 7a7488 4a4a60 1c1d2b ffe3b0", "7d3f3a e0b58f a8675a 6b3a38 261416 fff0d5"),
    "Fantasy": ("120f3a 5a3fa0 3a2c7a 1f1a52 0a0822 ffdf7f", "0b2b2a 2f8f6f 1f5f50 123b36 051716 f7e79a",
                "2b1440 b65a8c 6f3a78 3c1f55 130a20 ffe0b0"),
    "Film-Noir": ("101114 5d5f66 3b3d43 1f2024 050506 f3ead2", "0d0f12 6d6250 463f35 23201c 060505 ffd27a",
                  "0e1318 50606b 32404a 1a232a 040608 dfe9ee"),
    "Horror": ("14070a 5c0d14 3a0a10 1f0508 070203 ff4a36", "0b1310 2f4a34 1e3226 101d17 040806 c8f26b",
               "191320 4b2a52 2c1a36 170d1f 07040b ff8f3f"),
    "Musical": ("6b0f24 c9243f 8f1730 4a0a1a 1b0409 ffd76a", "231a52 7a3fb0 51308a 2e1f5e 0e0a24 ffe08a",
                "0f3d4a 21909a 18646e 0d3540 04151a ffcf70"),
    "Mystery": ("1f1633 5a3f73 3b2a54 22173a 0b0716 f3c969", "0d2b2e 2f6f6b 1f4f50 123235 051214 f0dca0",
                "2d1b25 82465c 552e40 331a28 12080e f9d7a8"),
    "Romance": ("f7b7a3 fde2cf ee8a86 c9506a 5c1f3a fff6ea", "5b2a5e f28f79 c75b7a 8a3a69 341536 ffe3b8",
                "f4d6d2 fbeee6 dfa3a8 b2606f 4f2433 ffffff"),
    "Sci-Fi": ("070b1f 27306b 3f4fa3 16204d 05060f 8ff0ff", "12042b 5a1a6e c2417b 31104f 0a0316 ffb86b",
               "02141c 0b4f5c 1f8a8c 06303a 010a0e f5f1c8"),
    "Thriller": ("c8401f e8672c 8a2413 3d100b 14070a fff0d8", "0e2a33 1e6470 12424c 0a2026 04090b ff5a3c",
                 "d9c9a3 efe3c4 a23b2a 4b2a26 161012 ffffff"),
    "War": ("6b6a4a c9bd8c 7d7650 4d4a33 1c1b14 f2e6bf", "3b4047 a99b87 6a6157 3f3a36 151413 ff8a3c",
            "7a4b2b e0ad6e 945f37 573620 1d120b ffefc8"),
    "Western": ("f2c078 f7e3b0 d98e4a a8522a 4a2018 fff1cf", "2f4858 e2725b b5533c 7d3327 2b1512 ffd9a0",
                "8fb8b5 f4d9a6 d9a066 b3592f 51281d fff3d6"),
}  # fmt: skip


def _colors(words: str) -> tuple[Color, ...]:
    return tuple((code >> 16, code >> 8 & 255, code & 255) for code in (int(word, 16) for word in words.split()))


PALETTES = {genre: tuple(Palette(*_colors(words)) for words in variants) for genre, variants in _HEX.items()}


def mixed(first: Color, second: Color, share: float) -> Color:
    """A colour between two: share 0 is the first, 1 the second."""
    return (
        round(first[0] + (second[0] - first[0]) * share),
        round(first[1] + (second[1] - first[1]) * share),
        round(first[2] + (second[2] - first[2]) * share),
    )


def brightness(color: Color) -> float:
    """How bright a colour looks, 0 to 1 (the luma of ITU-R BT.601)."""
    return (0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2]) / 255
