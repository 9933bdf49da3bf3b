"""Obtaining weights: fetch, pull, convert, install, rehearse."""
