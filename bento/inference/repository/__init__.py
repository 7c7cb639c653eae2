"""Models on disk and in service: configuration, loading, model control."""
