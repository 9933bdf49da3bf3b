"""Frame rates as exact fractions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import floor
from statistics import median_low

from mcld_anim.core.errors import UsageError

STANDARD_RATES = (
    *(Fraction(rate) for rate in (10, 12, 15, 24, 25, 30, 48, 50, 60, 90, 100, 120, 240)),
    *(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120)),
)
"""Frames per second of cameras and software; those over 1001 are NTSC's."""

HIGHEST_RATE = 240
"""Highest plausible rate, in frames per second: that of the fastest common camera mode."""

SAME_RATE = Fraction(1, 200)
"""Relative difference up to which two rates are one: containers round timestamps to 1 ms, which 150 frames average
out."""

EQUAL_RATE = Fraction(1, 10_000)
"""Relative difference up to which a declared rate is exact, however odd."""

FASTER = Fraction(3, 4)
"""Part of the usual period below which a step between frames belongs to a faster part of the video, not to jitter."""

MOST_LOST = Fraction(1, 50)
"""Part of the frames that need not be shown, so that a few misplaced times do not raise the rate; they are told."""

WITHOUT_TIMES = Fraction(25)
"""Frames per second of a stream without any times."""


def exact_rate(fps: float | Fraction, name: str = "--fps") -> Fraction:
    """The exact fraction for `fps`: 29.97 is 30000/1001, 25 is 25."""
    if not 0 < fps <= HIGHEST_RATE:
        raise UsageError(f"{name} {fps} is not a frame rate; give frames per second above 0 and up to {HIGHEST_RATE}")
    if isinstance(fps, Fraction):
        return fps
    for rate in STANDARD_RATES:
        # 23.98 and 59.94 are written with two decimals
        if abs(Fraction(fps) - rate) < Fraction(5, 1000) and rate.denominator > 1:
            return rate
    return Fraction(fps).limit_denominator(1001)


def nominal_rate(times: Sequence[Fraction], declared: Iterable[Fraction | None]) -> Fraction:
    """The rate of a stream whose frames begin at `times` (seconds, sorted), in frames per second.

    The times decide, not the container's own rates, which are averages or guesses. The period is the mean of the steps
    near the median, so that pauses and dropped frames do not count. A `declared` or standard rate that agrees replaces
    the measured one, because it is exact. If frames of a variable rate would not be shown at this rate, it is the
    lowest that shows them.
    """
    usable = [rate for rate in declared if rate is not None and 0 < rate <= HIGHEST_RATE]
    steps = [later - earlier for earlier, later in pairwise(times) if later > earlier]
    if not steps:
        return usable[0] if usable else WITHOUT_TIMES
    common = _rate_of(steps, usable)
    faster = [step for step in steps if step * common < FASTER]
    whole = [rate for rate in STANDARD_RATES if rate.denominator == 1]  # NTSC's only where they were measured
    candidates = {common, *whole, *usable, *([_rate_of(faster, usable)] if faster else [])}
    enough = (rate for rate in sorted(candidates) if rate >= common and lost(times, rate) <= len(times) * MOST_LOST)
    return next(enough, common)


def lost(times: Sequence[Fraction], rate: Fraction) -> int:
    """How many frames that begin at `times` (seconds, sorted) are not shown at a constant rate from the first on."""
    slots = [floor((time - times[0]) * rate + Fraction(1, 2)) for time in times]
    return sum(later == earlier for earlier, later in pairwise(slots))


def _rate_of(steps: Sequence[Fraction], usable: list[Fraction]) -> Fraction:
    """The rate of most of the steps between frames (seconds); a `usable` or standard one if they agree."""
    middle = median_low(steps)  # one of the steps, so at least one is near
    near = [step for step in steps if abs(step - middle) <= middle / 5]
    measured = min(Fraction(len(near)) / sum(near, Fraction(0)), Fraction(HIGHEST_RATE))
    standard = sorted(STANDARD_RATES, key=lambda rate: (rate not in usable, abs(rate - measured)))
    for candidates, tolerance in ((usable, EQUAL_RATE), (standard, SAME_RATE), (usable, SAME_RATE)):
        for rate in candidates:
            if abs(rate - measured) <= tolerance * measured:
                return rate
    if measured < 1:
        return 1 / (1 / measured).limit_denominator(1001)
    return measured.limit_denominator(1001)
