"""Training of every network that ships with the package."""
