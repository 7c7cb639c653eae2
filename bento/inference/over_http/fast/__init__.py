"""The fast path over HTTP: repeated kinds of infer requests are answered without ASGI. Entered by `connections`."""
