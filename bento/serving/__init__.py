"""How one worker process is put together, and how it listens: wiring, no behaviour of its own."""
