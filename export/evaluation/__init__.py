"""How good a release is: its exported files scored, a running server's answers scored, kinds of index compared."""
