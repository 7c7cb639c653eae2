"""What the service remembers between requests: people's states, finished answers, events.

Each kind of memory is a Protocol in `interfaces`, with a Redis and an in-memory implementation that pass
the same tests.
"""
