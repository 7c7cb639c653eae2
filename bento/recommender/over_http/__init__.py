"""The recommender over HTTP: a module of routes for each subject reads requests and writes answers."""
