"""The vectors of an added film by the served encoders: text and poster embedding, then its item vector."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from bento.inference.core.errors import InferenceError
from bento.inference.core.messages import InferRequest
from bento.recommender.errors import NotEncoded
from bento.recommender.inference import Inference
from bento.release.loading import Release
from bento.stores.film_records import FilmRecord, FilmVectors
from features.catalog import Catalog, Film
from features.text import film_text

TOWER, TEXT_MODEL, POSTER_MODEL = "new_film_tower", "text_embedding", "image_embedding"

TEXT_WIDTH, POSTER_WIDTH = 384, 2048

TIMEOUT_S = 20.0
"""For one film: encoding a poster takes a while on a busy CPU."""


class NewFilmEncoder:
    """Calls the encoders of one release."""

    def __init__(self, inference: Inference, release: Release) -> None:
        self._inference = inference
        self._version = str(release.number)
        self._models = frozenset(release.servable_models())

    @property
    def can_encode(self) -> bool:
        """The release has the encoders; older ones do not."""
        return {TOWER, TEXT_MODEL} <= self._models

    async def encode(self, record: FilmRecord, poster: bytes | None) -> FilmVectors:
        """The vectors of a film; without an image encoder the poster is ignored.

        Raises: NotEncoded when an encoder fails or is late, or the release has none.
        """
        film = record.film
        assert film is not None, "hidden films of a release have vectors already"
        if not self.can_encode:
            raise NotEncoded(f"release {self._version} was exported without {TOWER}; export it again")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                text, picture = await asyncio.gather(self._text(film), self._poster(poster))
                facts = Catalog([film])
                outputs = await self._infer(
                    TOWER,
                    text_embedding=text,
                    poster_embedding=picture,
                    genres=facts.genre_matrix,
                    year=np.array([[film.year or 0]], dtype=np.float32),
                )
        except (InferenceError, TimeoutError) as error:
            raise NotEncoded(str(error) or f"no answer in {TIMEOUT_S:.0f} s") from error
        return FilmVectors.of(record, outputs["item_vector"][0], text[0])

    async def _text(self, film: Film) -> npt.NDArray[np.float32]:
        text = film_text(film)
        if not text:
            return np.zeros((1, TEXT_WIDTH), dtype=np.float32)
        outputs = await self._infer(TEXT_MODEL, TEXT=np.array([[text.encode()]], dtype=object))
        embedding: npt.NDArray[np.float32] = outputs["embedding"]
        return embedding

    async def _poster(self, poster: bytes | None) -> npt.NDArray[np.float32]:
        if poster is None or POSTER_MODEL not in self._models:
            return np.zeros((1, POSTER_WIDTH), dtype=np.float32)
        outputs = await self._infer(POSTER_MODEL, IMAGE=np.array([[poster]], dtype=object))
        embedding: npt.NDArray[np.float32] = outputs["embedding"]
        return embedding

    async def _infer(self, model: str, **inputs: Any) -> dict[str, Any]:
        deadline_ns = time.monotonic_ns() + int(TIMEOUT_S * 1e9)
        request = InferRequest(model, inputs, model_version=self._version, deadline_ns=deadline_ns)
        return (await self._inference.infer(request)).outputs
