"""Content vectors of films: their text and their posters, encoded and cached."""
