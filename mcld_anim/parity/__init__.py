"""Replay recorded runs of the published MCLD code and check that this implementation computes the same."""
