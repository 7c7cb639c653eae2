"""Sealed answers: only what was put there comes out again."""

from __future__ import annotations

import pytest

from bento.stores.envelope import BrokenSeal, seal, unseal

SEALED = seal(b"an answer", "question", version=3, expires_at_s=100.0)


def test_a_sealed_answer_opens_for_its_question_and_version() -> None:
    assert unseal(SEALED, "question", version=3, now_s=99.9) == b"an answer"


def test_it_does_not_open_after_its_expiry() -> None:
    assert unseal(SEALED, "question", version=3, now_s=100.0) is None


def test_it_does_not_open_for_another_version_of_the_state() -> None:
    assert unseal(SEALED, "question", version=4, now_s=0.0) is None


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_a_truncated_one_is_broken(length: int) -> None:
    with pytest.raises(BrokenSeal, match=f"^{length} bytes"):
        unseal(SEALED[:length], "question", version=3, now_s=0.0)


@pytest.mark.parametrize("position", range(len(SEALED)))
def test_one_with_any_byte_altered_is_broken(position: int) -> None:
    altered = bytearray(SEALED)
    altered[position] ^= 1
    with pytest.raises(BrokenSeal):
        unseal(bytes(altered), "question", version=3, now_s=0.0)


def test_one_that_was_made_for_another_question_is_broken() -> None:
    with pytest.raises(BrokenSeal):
        unseal(SEALED, "other question", version=3, now_s=0.0)


def test_plain_text_in_the_cache_is_broken() -> None:
    with pytest.raises(BrokenSeal):
        unseal(b'{"recommendations": []}' * 10, "question", version=3, now_s=0.0)
