"""The recommender over HTTP: `asgi` carries bytes to handlers, `routes` and its like read requests and write answers.

Handlers are thin: what they answer is computed by the packages beside this one.
"""
