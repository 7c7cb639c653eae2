"""Searching the films of a release: by its own index, which the inference server holds, or by Qdrant.

Both find the same films for the same question, which a parametrised test checks. Films that were added since the
release are searched separately, see `candidates`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bento.recommender.schemas import Filters

Float32 = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Films in order of score, best first. All arrays have the same length K."""

    rows: Rows
    scores: Float32
    contributions: Float32
    """(K, S) what each source adds to the score; in a finished list one column more where the hour adds something."""
    corrections: Float32 | None = None
    """(K,) what the re-ranker adds; None where it had no part."""

    def at(self, places: Rows) -> Ranked:
        """The films at these places, in this order."""
        corrections = None if self.corrections is None else self.corrections[places]
        return Ranked(self.rows[places], self.scores[places], self.contributions[places], corrections)


@dataclass(frozen=True, slots=True)
class ReleaseQuestion:
    """A search among the films of a release. Rows are the release's; -1 is padding."""

    query: Float32
    """(D,) in the fused space."""
    extra_rows: Rows
    """(E,) films whose score is raised or lowered."""
    extra_scores: Float32
    extra_weight: float
    """Multiplies the extra scores."""
    k: int
    excluded_rows: Rows
    """(X,) films never to return."""
    allowed_rows: Rows | None
    """(A,) the only films to return; None = any."""
    filters: Filters | None
    """The filters that gave `allowed_rows`, where they describe it completely: Qdrant can apply them itself."""
    deadline_ns: int


class ReleaseSearch(Protocol):
    """Finds the best films of a release."""

    async def search(self, question: ReleaseQuestion) -> Ranked:
        """The k best, or as many as there are. Raises: InferenceError."""


class IndexSearch:
    """The release's own index: the model `retrieval`."""

    def __init__(self, infer: Callable[[str, dict[str, Any], int], Awaitable[dict[str, Any]]]) -> None:
        """infer: (model, inputs, deadline) -> outputs."""
        self._infer = infer

    async def search(self, question: ReleaseQuestion) -> Ranked:
        """See `ReleaseSearch`."""
        inputs = {
            "query": question.query[np.newaxis],
            "extra_rows": question.extra_rows[np.newaxis],
            "extra_scores": question.extra_scores[np.newaxis],
            "extra_weight": np.array([[question.extra_weight]], dtype=np.float32),
            "top_k": np.array([[question.k]], dtype=np.int32),
            "excluded_rows": question.excluded_rows[np.newaxis],
        }
        if question.allowed_rows is not None:
            inputs["allowed_rows"] = question.allowed_rows[np.newaxis]
        outputs = await self._infer("retrieval", inputs, question.deadline_ns)
        found = outputs["rows"][0] >= 0
        return Ranked(outputs["rows"][0][found], outputs["scores"][0][found], outputs["contributions"][0][found])
