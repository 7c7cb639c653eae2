"""Proof that an exported file answers like the network it was made from, and that batching changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from export.errors import ParityFailed, RankingChanged
from export.example_inputs import Tensors, rows_of
from export.graphs.precision import DEMANDS, Demands, Precision
from features.release_manifest import Parity

Scores = npt.NDArray[np.floating]

Run = Callable[[Tensors], Tensors]
"""Inputs of a batch to outputs of a batch."""

NEARLY_EQUAL = 1e-4
"""Of the largest score: films closer than this may change places, as float32 sums in another order do."""

TOP_K = 10
"""Length of the rankings compared: the length of a page of recommendations."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be proven of one model."""

    model: str
    network: Run
    exported: Run
    scores: Callable[[Tensors], Scores]
    """Outputs of a batch to what they say about each film, (B, N) or (B', N): the rankings compared."""
    precision: Precision = "fp32"

    @property
    def demands(self) -> Demands:
        """How close the exported file must be."""
        return DEMANDS[self.precision]


def prove(claim: Claim, batches: Sequence[Tensors]) -> Parity:
    """Compare on every batch, compare each row alone with its batch, and compare rankings.

    Raises: ParityFailed, with the model, the value and the tolerance.
    """
    compared: list[tuple[float, float]] = [(0.0, 0.0)]
    overlaps: list[Scores] = []
    same_order = True
    for inputs in batches:
        wanted, given = claim.network(inputs), claim.exported(inputs)
        compared += _compare(claim, wanted, given, "output")
        expected, actual = claim.scores(wanted), claim.scores(given)
        overlaps.append(_overlap(expected, actual))
        same_order = same_order and _misplaced_by(expected, actual) <= 0
    overlap, demanded = float(np.concatenate(overlaps).mean()), claim.demands.min_ranking_overlap
    if overlap < demanded or (demanded == 1 and not same_order):
        raise RankingChanged(claim.model, TOP_K, overlap, demanded)
    _compare_rows_alone(claim, max(batches, key=_batch_size))
    differences, tolerances = zip(*compared, strict=True)
    return Parity(
        batches=tuple(sorted({_batch_size(inputs) for inputs in batches})),
        largest_difference=max(differences),
        tolerance=max(tolerances),
        top_k_identical=same_order,
        precision=claim.precision,
        ranking_overlap=overlap,
        min_ranking_overlap=demanded,
    )


def _compare(claim: Claim, wanted: Tensors, given: Tensors, what: str) -> list[tuple[float, float]]:
    """Largest difference and tolerance of each output of real numbers; rows of films are compared as rankings."""
    found = []
    for name, expected in wanted.items():
        actual = given[name]
        if actual.shape != expected.shape or actual.dtype != expected.dtype:
            raise ParityFailed(claim.model, f"{what} {name!r} is {actual.dtype}{actual.shape} and so", np.inf, 0)
        if not np.issubdtype(expected.dtype, np.floating) or not expected.size:
            continue
        tolerance = claim.demands.relative_tolerance * max(1.0, float(np.abs(expected).max()))
        difference = float(np.abs(actual - expected).max())
        if not difference <= tolerance:  # NaN is not
            raise ParityFailed(claim.model, f"{what} {name!r}", difference, tolerance)
        found.append((difference, tolerance))
    return found


def _compare_rows_alone(claim: Claim, inputs: Tensors) -> None:
    together = claim.exported(inputs)
    for row in range(_batch_size(inputs)):
        alone = claim.exported(rows_of(inputs, slice(row, row + 1)))
        _compare(claim, rows_of(together, slice(row, row + 1)), alone, f"row {row} alone: output")


def _overlap(expected: Scores, actual: Scores) -> Scores:
    """(B,) share of the films ranked first that belong there; all of several films of nearly equal score do."""
    best, chosen = _first(expected, expected), _first(expected, actual)
    return (chosen >= best[:, -1:] - _near(expected)).mean(axis=1)


def _misplaced_by(expected: Scores, actual: Scores) -> float:
    """How much score is lost at any one place of the ranking, beyond what is nearly equal; 0 or less when none is."""
    return float(np.abs(_first(expected, expected) - _first(expected, actual)).max() - _near(expected))


def _first(scores: Scores, ranked_by: Scores) -> Scores:
    """(B, K) scores of the films that another ranking puts first."""
    order = np.argsort(-ranked_by, axis=1, kind="stable")[:, :TOP_K]
    return np.take_along_axis(scores, order, axis=1)


def _near(scores: Scores) -> float:
    return NEARLY_EQUAL * max(1.0, float(np.abs(scores).max()))


def _batch_size(inputs: Tensors) -> int:
    return len(next(iter(inputs.values())))
