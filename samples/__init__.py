"""The sample photos and the sample dance, installed with the package for `mcld-anim ui`."""
