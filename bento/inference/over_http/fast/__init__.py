"""The fast path over HTTP: infer requests of a form that came before, answered without ASGI."""
