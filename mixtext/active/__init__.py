"""Active learning: which rows to label next, by whom, and a model from each round."""
