"""The ground of the inference server: requests, answers, errors, options, data types; known to every room above."""
