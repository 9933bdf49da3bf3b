"""Events: everything that a run lost, replaced or changed, each reported once.

A room never prints. It calls an `EventSink`; the command line prints the events and the report stores them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something the user should know that does not stop the run."""

    kind: str
    """A short, stable identifier for programs, e.g. "audio_transcoded"."""
    message: str
    """One line for people: what happened, to what, and what was done about it."""

    def __str__(self) -> str:
        return self.message


EventSink = Callable[[Event], None]


def warn(event: Event) -> None:
    """The default sink: an event becomes a Python warning, so that nothing is silent."""
    warnings.warn(event.message, stacklevel=3)
