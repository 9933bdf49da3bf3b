"""How long a download may take to answer, and how often it is tried again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """Limits of one download."""

    timeout: float  # seconds without an answer or without a byte
    failures: int  # consecutive failed connections after which it is abandoned
    own_settings: bool  # whether pip and npm keep the user's own limits


PATIENT = Patience(60.0, 5, own_settings=True)
"""For a download that was asked for."""
HURRIED = Patience(6.0, 2, own_settings=False)
"""For one that a run starts by itself: a machine without a network must not wait for it."""
