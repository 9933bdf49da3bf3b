"""The user's home folder, which containers and services may lack."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """A path with `~` as the home folder; unchanged if no home is known, or if a name only begins like one (`~1.jpg`),
    at which `Path.expanduser` raises RuntimeError."""
    return Path(os.path.expanduser(path))
