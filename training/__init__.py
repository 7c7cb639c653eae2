"""From a data set to a checkpoint that can be exported."""
