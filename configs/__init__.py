"""Configuration files of mcld-anim: YAML only, no code."""
