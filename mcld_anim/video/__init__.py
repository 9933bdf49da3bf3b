"""Reading and writing videos and sound, cuts, framing."""
