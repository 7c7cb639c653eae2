"""Routes that answer with lists of films."""
