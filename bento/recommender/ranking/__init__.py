"""From a history to an ordered, explained list: sources, fusion, search, order, and the ladder of fallbacks."""
