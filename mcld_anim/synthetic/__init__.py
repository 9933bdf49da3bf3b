"""Synthetic people: rendered with exact DensePose IUV, for training data, tests and the samples."""
