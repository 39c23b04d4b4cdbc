"""Ways out: a run as a folder or a repository of the hub, a model as ONNX; and a store at a URL, and back."""
