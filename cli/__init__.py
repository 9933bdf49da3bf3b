"""The command line: one file per verb, each parses, checks and makes one library call."""
