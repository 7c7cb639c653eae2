"""The data's posters as one file of the release, for pages that show films."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from features.catalog import Catalog

SIZE_LIMIT_BYTES = 512 << 20
"""A release is read and checked at every start; films beyond a few thousand posters are shown without."""

WRITTEN_AT = (1980, 1, 1, 0, 0, 0)
"""The oldest time a ZIP can say: equal posters give an equal file."""


def write_posters(path: Path, catalog: Catalog, poster_paths: Mapping[int, Path]) -> None:
    """Write `posters.zip`: the files as they are, stored, as `<movie_id>.jpg` in catalogue order.

    poster_paths: by item_row. Nothing is written when there are none, or when they exceed `SIZE_LIMIT_BYTES`.
    """
    if not poster_paths or sum(poster.stat().st_size for poster in poster_paths.values()) > SIZE_LIMIT_BYTES:
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for row in sorted(poster_paths):
            entry = zipfile.ZipInfo(f"{catalog.films[row].movie_id}.jpg", WRITTEN_AT)
            archive.writestr(entry, poster_paths[row].read_bytes())
