"""What training and serving must do identically: ids, history padding, film text, poster pixels.

Leaf of the import graph: NumPy, Pillow and the standard library only, and nothing of ours.
"""
