"""A split data set as files for other tools: what `prepare` writes and what reads it back."""
