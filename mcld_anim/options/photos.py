"""Several photos of one person: `--source` is given several times, `source` in YAML, rows and Python as a list."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any

from mcld_anim.core.errors import UsageError

MOST_PHOTOS = 8
"""Largest number of photos of one person."""
LISTED = {"source": "more_sources", "photo": "more_photos"}
"""Options that may be a list of photos, and the options that take what follows its first."""


def split_photos(given: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    """Options of the names in `known`, each list of photos split into its first and the others."""
    split = dict(given)
    for name, more in LISTED.items():
        photos = split.get(name)
        if more in given:
            raise UsageError(f"{more} is no option of its own: give {name} as a list of photos")
        if more in known and isinstance(photos, list | tuple):
            if not photos:
                raise UsageError(f"{name} is an empty list: give a photo, or several of one person")
            split |= {name: photos[0], more: tuple(photos[1:])}
    return split


def check_photos(flag: str, more: Sized) -> None:
    """Refuse too many photos; `more`: those after the first."""
    if len(more) >= MOST_PHOTOS:
        raise UsageError(f"{flag}: {len(more) + 1} photos were given, at most {MOST_PHOTOS} of one person are joined")
