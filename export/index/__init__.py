"""The FAISS index of the film vectors, and how much of the exact answer it finds."""
