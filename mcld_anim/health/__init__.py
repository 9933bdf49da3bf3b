"""Checks of this installation, and the remedy for every problem: `mcld-anim doctor`."""
