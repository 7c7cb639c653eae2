"""The connection to Redis: opened in one place, its commands joined, left alone for a while after a failure."""
