"""MovieLens' layouts, each read into the same raw tables."""
