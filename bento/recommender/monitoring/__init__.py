"""How the recommender does: observations of its own answers, drift, embedding health, and the report made of them."""
