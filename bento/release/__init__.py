"""The release that is served: its manifest proven against the files, and the table of its films."""
