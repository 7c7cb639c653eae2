"""The `python -m bento` commands beside the service: keys, films, monitor, verify."""
