"""Bringing weights here: fetch, pull, convert, install, rehearse."""
