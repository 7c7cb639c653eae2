"""Load on a running server: Locust users, the workload they draw from, and the side-by-side benchmark."""
