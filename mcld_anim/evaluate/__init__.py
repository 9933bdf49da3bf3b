"""Measurements of the models on held-out people."""
