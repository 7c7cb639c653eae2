"""The v2 protocol over HTTP, as an ASGI application."""
