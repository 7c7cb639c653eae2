"""Evaluation of fitted models on held-out people, and its presentation: tables, reports, plots, model cards."""
