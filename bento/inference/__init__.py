"""The Triton-style inference server: models from a repository, batched, behind the v2 protocol."""
