"""Authentication, roles and rate limits. Off by default; `MARQUEE_AUTH=on` switches it on.

A request is signed by a JWT (`POST /auth/login`) or by an API key (`python -m bento keys`). What a route asks of its
caller stands in one table, `permissions`; what is not in it is for admins.
"""
