"""Everything that measures the models on held-out people."""
