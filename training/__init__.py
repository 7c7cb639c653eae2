"""From a data set to a checkpoint that can be exported. docs/architecture.md lists the rooms and their order."""
