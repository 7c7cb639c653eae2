"""What the commands of `python -m export` do: options, training and export, the search for a release, evaluation."""
