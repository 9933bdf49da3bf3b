"""Running the rows of a manifest with the models loaded once."""
