"""Training loops: batches, losses, early stopping, resuming, and all models of a release fitted together."""
