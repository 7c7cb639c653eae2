"""Data sets: found, read, checked, split. Knows no model."""
