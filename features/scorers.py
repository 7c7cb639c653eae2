"""The scorers that order a person's best candidates, and the model of each."""

from __future__ import annotations

from typing import Final, Literal

CANDIDATES = 200
"""Best films by the blend that a scorer orders again; those below keep the blend's order."""

DOT: Final = "dot"
MLP: Final = "mlp"

Scorer = Literal["dot", "mlp"]

SCORER_MODELS = {DOT: "dot_scorer", MLP: "mlp_scorer"}
"""Scorer → model. Both take the same tensors. The blend's scores come with the candidates, so that serving them asks no
model again."""
