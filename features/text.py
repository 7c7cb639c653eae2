"""The text of a film and its tokens, identically in training, export and serving.

Stands alone (NumPy and `tokenizers`): export places a copy of this file beside the tokenizer model of the model
repository, where nothing else of ours can be imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from features.catalog import Film

MAX_TOKENS = 256
"""L at most: longer texts lose their end. Source: `max_seq_length` of all-MiniLM-L6-v2."""

PADDING_ID = 0
"""[PAD] of the BERT vocabulary."""

MAX_TAGS = 10
"""Tags in a film's text: the most frequent ones; the rest is noise of single people."""


def film_text(film: Film) -> str:
    """A film as one paragraph for the text encoder; "" when it has no title.

    Order: title (year), genres, overview, director, cast, country, tags. What is not known is left out, so a film
    without an overview still has its title and genres. The same film always gives the same text.
    """
    if not film.title.strip():
        return ""
    parts = [film.title if film.year is None else f"{film.title} ({film.year})"]
    if film.genres:
        parts.append(", ".join(film.genres))
    if film.overview.strip():
        parts.append(" ".join(film.overview.split()).rstrip("."))
    if film.director:
        parts.append(f"Directed by {film.director}")
    if film.cast:
        parts.append(f"Starring {', '.join(film.cast)}")
    if film.country:
        parts.append(f"From {film.country}")
    if film.tags:
        parts.append(f"Tags: {', '.join(film.tags[:MAX_TAGS])}")
    return ". ".join(parts) + "."


def open_tokenizer(tokenizer_json: bytes) -> Tokenizer:
    """The tokenizer of a `tokenizer.json`, cutting at MAX_TOKENS and without padding of its own.

    all-MiniLM-L6-v2's own file asks for 128 tokens exactly, always; its model was trained for up to 256.

    Raises: ValueError when the bytes are not a tokenizer.
    """
    from tokenizers import Tokenizer  # here: film_text alone must not need the library

    try:
        tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    except Exception as error:  # the Rust library raises plain Exception, nothing narrower
        raise ValueError(f"not a tokenizer.json: {error}") from error
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return tokenizer


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Token ids and attention mask of texts, both (B, L), L the longest text of this batch (at most MAX_TOKENS).

    tokenizer: from `open_tokenizer`. An empty text is [CLS][SEP], so L >= 2 unless there is no text at all: (0, 0).
    The mask is 1 on tokens and 0 on padding; padding stands on the right and is PADDING_ID.
    """
    rows = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    input_ids = np.full((len(rows), max(map(len, rows), default=0)), PADDING_ID, dtype=np.int64)
    attention_mask = np.zeros_like(input_ids)
    for row, ids in enumerate(rows):  # ragged input: one slice copy per text
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : len(ids)] = 1
    return input_ids, attention_mask
