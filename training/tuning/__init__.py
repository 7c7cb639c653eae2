"""Search for a model's options."""
