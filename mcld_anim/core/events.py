"""What was lost, replaced or changed on the way, said once: the form in which rooms tell the report.

A room never prints. It calls an `EventSink`; the command line prints the events and the report stores them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """One thing the user should know although the work goes on."""

    kind: str
    """Short and stable, for machines, as in "audio_transcoded"."""
    message: str
    """One line for people: what happened, to what, and what was done about it."""

    def __str__(self) -> str:
        return self.message


EventSink = Callable[[Event], None]


def warn(event: Event) -> None:
    """The sink used where the caller gave none: nothing is silent, so an event becomes a Python warning."""
    warnings.warn(event.message, stacklevel=3)
