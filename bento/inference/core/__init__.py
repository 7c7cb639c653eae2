"""Base of the inference server: requests, answers, errors, options, data types; imported by every package above."""
