"""Correction of one typing error per word: "alein" becomes "alien", "rokcy" becomes "rocky". Pure.

Trigrams find long words with a typing error; in a short word one error changes every trigram.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from string import ascii_lowercase, digits

import numpy as np
import numpy.typing as npt

SHORTEST_WORD = 4
"""Letters; nearly every shorter word is one error away from another word."""

LETTERS = ascii_lowercase + digits


class Spelling:
    """The words of some titles."""

    def __init__(self, titles: Sequence[str], popularity: npt.NDArray[np.float32]) -> None:
        """titles: normalised; popularity: (N,) of their films."""
        self._worth: dict[str, float] = {}
        for title, worth in zip(titles, popularity.tolist(), strict=True):
            for word in title.split():
                self._worth[word] = max(worth, self._worth.get(word, 0.0))

    def corrected(self, query: str) -> str | None:
        """The query with its unknown words replaced by the most likely words of titles; None where none is replaced."""
        words = query.split()
        better = [self._meant(word) or word for word in words]
        return None if better == words else " ".join(better)

    def _meant(self, word: str) -> str | None:
        if len(word) < SHORTEST_WORD or word in self._worth:
            return None
        for slips in (_swapped(word), _one_letter_off(word)):  # fingers swap letters more often than they miss them
            known = [slip for slip in slips if slip in self._worth]
            if known:
                return max(known, key=lambda one: self._worth[one])
        return None


def _swapped(word: str) -> Iterable[str]:
    return (word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1))


def _one_letter_off(word: str) -> Iterator[str]:
    for at in range(len(word) + 1):
        head, tail = word[:at], word[at:]
        yield head + tail[1:]
        for letter in LETTERS:
            yield head + letter + tail
            yield head + letter + tail[1:]
