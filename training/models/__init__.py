"""One file per model: its net, its configuration, its loss, and the module that serves it."""
