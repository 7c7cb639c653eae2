"""What is known of people: their histories, what they just did, which lists they were shown, their embeddings."""
