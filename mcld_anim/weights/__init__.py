"""The tables of weights, where they lie, and reading them strictly."""
