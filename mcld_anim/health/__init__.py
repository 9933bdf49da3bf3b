"""Whether this installation can work, and what mends it: `mcld-anim doctor`."""
