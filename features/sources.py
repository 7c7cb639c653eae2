"""The sources of the hybrid, and where each lives in the fused embedding space.

The blend of dot-product sources is linear, so it is one dot product in a concatenated space:

    score(i) = sum_s w_s * z_s(i),   z_s(i) = u_s . (v_s(i) - mean_s) / std_s(u)

With item vectors centred at export (and zero where a film has no such vector, which is exactly the
neutral z-score), a query is the concatenation of w_s / std_s(u) * u_s, std_s(u) = sqrt(u' Cov_s u),
and one FAISS search returns the blend's own top K: no per-source candidate lists to reconcile.
The item-to-item source is sparse, not a dot product; it joins as extra scores (see the retrieval model).
"""

from __future__ import annotations

SOURCE_WIDTHS = {"sequence": 64, "two_tower": 64, "ials": 64, "text": 128, "poster": 64, "popularity": 1}
"""Width of each dense source's slice, in the order of the concatenation."""

NEIGHBOUR_SOURCE = "ease"
"""The sparse item-to-item source; its scores are added to the fused ones."""

SOURCES = (*SOURCE_WIDTHS, NEIGHBOUR_SOURCE)
"""All sources, in the order of the `weights` tensor (B, S)."""

FUSED_WIDTH = sum(SOURCE_WIDTHS.values())
"""D of the fused space."""


def source_slices() -> dict[str, slice]:
    """Columns of each dense source in the fused space."""
    slices, start = {}, 0
    for name, width in SOURCE_WIDTHS.items():
        slices[name] = slice(start, start + width)
        start += width
    return slices
