"""Scores of fitted models, their fusion, candidate lists, the re-ranker's training, and the metrics of ranked lists."""
