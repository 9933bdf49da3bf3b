"""Times of sound packets: made to rise strictly, as containers demand, where a recording's do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcld_anim.core.events import Event

if TYPE_CHECKING:
    from av.packet import Packet


@dataclass
class SoundLog:
    """What happened to a sound on its way into the output."""

    damaged: int = 0  # packets that were left out because they cannot be used
    overlapping: int = 0  # packets that were left out, or cut, because they begin before their predecessor ends
    placed: int = 0  # packets without a time of their own

    def events(self, path: Path) -> Iterator[Event]:
        """The events about the sound of `path`."""
        if self.damaged:
            yield Event("audio_damaged", f"sound of {path} is damaged: packets left out: {self.damaged}")
        repairs = []
        if self.overlapping:
            repairs.append(f"packets cut because they overlap others: {self.overlapping}")
        if self.placed:
            repairs.append(f"packets without a time of their own, put after others: {self.placed}")
        if repairs:
            yield Event("audio_repaired", f"times in the sound of {path} do not rise: {', '.join(repairs)}")


def rising(packets: Iterable[Packet], log: SoundLog) -> Iterator[Packet]:
    """Packets whose times rise strictly.

    A packet that begins more than half its length before its predecessor's end repeats sound, as at the joints of
    stream segments, and is left out, so that sound and pictures stay together. A packet without a time, or with the
    time of its predecessor, follows it.
    """
    last: int | None = None
    end: int | None = None
    stamp: int | None = None
    for packet in packets:
        length = packet.duration or 0
        place = end if packet.pts is None or packet.pts == stamp else packet.pts
        if place is None:  # without a time and without a predecessor
            log.damaged += 1
            continue
        log.placed += packet.pts is None or packet.pts == stamp
        stamp = packet.pts
        if last is not None and end is not None:
            if place < end - length / 2:
                log.overlapping += 1
                continue
            place = max(place, last + 1)
        last, end = place, place + length
        packet.pts = place
        yield packet
