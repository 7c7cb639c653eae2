"""Trainings and releases recorded in MLflow."""
