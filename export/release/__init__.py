"""Writing, publishing, reading and validating the files of a release."""
