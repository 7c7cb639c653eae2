"""Networks to ONNX and TorchScript files, in a chosen precision, each proven equal to its network."""
