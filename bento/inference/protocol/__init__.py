"""What HTTP and gRPC have in common: tensors on the wire, shared memory, classes, settings; no framework."""
