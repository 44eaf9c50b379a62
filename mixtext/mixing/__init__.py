"""Pure functions on tensors and token ids. Nothing here knows a model, a data set or a recipe."""
