"""The stories, one file per verb, from options to files or frames, and their shared parts."""
