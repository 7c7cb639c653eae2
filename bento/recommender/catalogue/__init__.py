"""The films that are served: the release's, and those added since; how they are found, filtered, shown and compared."""
