"""Which requests run next, together, on which instance, and the threads that run them."""
