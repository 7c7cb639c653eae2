"""The HTTP layer of every face: requests, answers, routing, bodies, request ids, OpenAPI."""
