"""What several packages must agree on: ids, histories, film text, pixels, sources, what stars mean, release.json.

Leaf of the import graph: NumPy, Pillow, msgspec, orjson and the standard library only, and nothing of ours.
"""
