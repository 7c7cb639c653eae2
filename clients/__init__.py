"""Clients as people would copy them: each file stands alone, speaks to a running server and is a script with --help."""
