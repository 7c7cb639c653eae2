"""What can order a person's best candidates, and which model of a release does it."""

from __future__ import annotations

from typing import Final

CANDIDATES = 200
"""Films of a person that are scored anew, the best by the blend; those beneath keep its order."""

DOT: Final = "dot"
MLP: Final = "mlp"

SCORER_MODELS = {DOT: "dot_scorer", MLP: "mlp_scorer"}
"""Scorer → model. Both take the same tensors. The blend's scores come with the candidates, so that serving them asks no
model again."""
