"""Ways out: a run as a folder or a repository of the hub, a model as ONNX."""
