"""What runs a model: onnxruntime, TorchScript and Python models behind one interface."""
