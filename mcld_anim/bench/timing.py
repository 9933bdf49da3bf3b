"""Repeated timings of the same work."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of each repeat."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle repeat."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """From the fastest to the slowest repeat, as a share of the median."""
        return (max(self.seconds) - min(self.seconds)) / self.median

    def described(self) -> dict[str, Any]:
        """For JSON."""
        return {"median": self.median, "spread": self.spread, "repeats": list(self.seconds)}


def timed(work: Callable[[], object], repeats: int, device: torch.device, warm_up: int = 1) -> Timing:
    """The seconds of `repeats` calls after `warm_up` calls; each waits for the device."""
    seconds = []
    for _ in range(warm_up + repeats):
        began = time.perf_counter()
        work()
        wait_for(device)
        seconds.append(time.perf_counter() - began)
    return Timing(tuple(seconds[warm_up:]))


def wait_for(device: torch.device) -> None:
    """Return when everything that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
