"""Models that are loaded: what they take and give, ensembles, the response cache, statistics."""
