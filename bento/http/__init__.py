"""The HTTP layer of recommender and inference server: requests, answers, routing, bodies, request ids, OpenAPI."""
