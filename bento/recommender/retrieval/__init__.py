"""From a history to scored candidates: encoders, fusion, search in the index or Qdrant, and the re-ranker."""
