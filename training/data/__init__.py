"""Data sets: located, read, checked, split. Independent of any model."""
