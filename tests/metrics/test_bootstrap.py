"""Bootstrap intervals: known distributions, values that are no numbers, reproducible draws."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mcld_anim.metrics import bootstrap
from mcld_anim.metrics.bootstrap import estimate, mean_interval


def test_the_interval_is_that_of_the_mean() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    low, high = mean_interval(values)
    error = values.std() / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_draws_are_seeded_and_do_not_depend_on_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=50)
    whole = mean_interval(values)
    assert mean_interval(values, seed=1) != whole
    monkeypatch.setattr(bootstrap, "MOST_NUMBERS", 700)
    assert mean_interval(values) == whole


def test_what_is_no_number_is_left_out_and_infinity_is_counted() -> None:
    known = estimate(np.array([1.0, np.nan, 3.0]))
    assert (known.mean, known.count, known.infinite) == (2.0, 2, 0)
    equal = estimate(np.array([30.0, np.inf]))
    assert (equal.mean, equal.low, equal.count, equal.infinite) == (None, None, 2, 1)
    assert estimate(np.array([np.nan])).mean is None
    assert (estimate(np.array([2.0])).mean, estimate(np.array([2.0])).low) == (2.0, None)
