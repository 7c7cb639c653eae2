"""How popular each film is compared with the others. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def popularity_ranks(popularity: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(N,) 1 for the most popular film, 0 for the least; ties in catalogue order."""
    ranks = np.empty(len(popularity), dtype=np.float32)
    ranks[np.argsort(-popularity, kind="stable")] = np.linspace(1, 0, len(popularity), dtype=np.float32)
    return ranks
