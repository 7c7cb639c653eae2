"""Data in columns of one's own: described in `data.toml`, proposed from the files, read into raw tables."""
