"""Fine-tuning of the text encoder, and the check that it is not tested on its own training events."""
