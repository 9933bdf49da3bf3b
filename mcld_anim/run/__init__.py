"""The stories, one file a verb, and what they share: from options to files or frames."""
