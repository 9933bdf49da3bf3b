"""Confidence intervals of means by the bootstrap (Efron and Tibshirani 1993, chapter 13: percentile intervals)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

SAMPLES = 2000
"""Number of bootstrap samples of an interval."""
CONFIDENCE = 0.95
MOST_NUMBERS = 4_000_000
"""Largest block of drawn numbers in memory."""


@dataclass(frozen=True)
class Estimate:
    """The mean of a metric over what was measured, with its interval."""

    mean: float | None
    """None if nothing was measured, or if a value is infinite (the PSNR of equal pictures)."""
    low: float | None
    high: float | None
    """Ends of the 95 % interval; None with fewer than two values, or without a mean."""
    count: int
    infinite: int = 0
    """How many values are infinite; they are counted, and make the mean infinite."""


def mean_interval(values: Float[np.ndarray, " n"], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile interval of the mean of finite values, at least one."""
    generator, means = np.random.default_rng(seed), []
    rows = max(1, MOST_NUMBERS // len(values))
    for start in range(0, SAMPLES, rows):
        drawn = generator.integers(len(values), size=(min(rows, SAMPLES - start), len(values)))
        means.append(values[drawn].mean(1))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(np.concatenate(means), (tail, 100 - tail))
    return float(low), float(high)


def estimate(values: Float[np.ndarray, " n"], seed: int = 0) -> Estimate:
    """The mean of values and its interval; NaN is no value."""
    known = values[~np.isnan(values)]
    infinite = int(np.isinf(known).sum())
    if not len(known) or infinite:
        return Estimate(None, None, None, len(known), infinite)
    if len(known) == 1:
        return Estimate(float(known[0]), None, None, 1)
    return Estimate(float(known.mean()), *mean_interval(known, seed), len(known))
