"""Measurements: of the models on held-out people and real clips, and of pictures and videos of any program."""
