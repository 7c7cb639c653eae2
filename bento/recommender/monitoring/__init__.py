"""Drift, embedding health, results of experiments, and the report of them."""
