"""How fast this machine runs this program: `mcld-anim bench`. Fixed work, repeated; nothing in it passes or fails."""
