"""The Python backend: runs `model.py` files written for Triton, with their `triton_python_backend_utils`."""
