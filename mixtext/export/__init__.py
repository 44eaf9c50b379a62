"""A trained model on its way out: in a folder with a model card, as ONNX, to the hub."""
