"""What the recommender measures of itself: metrics, recent observations, stage times, rate-limited warnings."""
