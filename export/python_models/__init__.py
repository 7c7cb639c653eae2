"""Sources of the Python-backend models: copied into the model repository, never imported from here."""
