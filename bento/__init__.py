"""The service: the recommender, the inference server, and what both stand on."""
