"""What the service remembers between requests: people's states, finished answers, events, served lists, added films.

Each kind of memory is a Protocol in `interfaces` with an implementation on Redis; `opening` opens Redis, `redis_link`
sends its commands, and `spool` holds events on disk while Redis is away.
"""
