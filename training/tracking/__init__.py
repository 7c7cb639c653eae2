"""Trainings and releases written down in MLflow."""
