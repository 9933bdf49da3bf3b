"""Intervals over trainings and people."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mcld_anim.metrics.crossed import crossed_estimate


@pytest.mark.parametrize(("between_trainings", "between_people"), [(1.0, 0.3), (0.3, 1.0), (1.0, 1.0)])
def test_three_trainings_of_twelve_people_cover_the_mean_as_often_as_they_say(
    between_trainings: float, between_people: float
) -> None:
    rng, inside, repeats = np.random.default_rng(0), 0, 1000
    for _ in range(repeats):
        values = 5.0 + between_trainings * rng.standard_normal((3, 1)) + between_people * rng.standard_normal((1, 12))
        found = crossed_estimate(values + 0.5 * rng.standard_normal((3, 12)))
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 5.0 <= found.high
    assert 0.92 <= inside / repeats <= 0.995


def test_one_training_gives_students_interval_over_people() -> None:
    values = np.array([[1.0, 2.0, 4.0, 7.0]])
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values[0]))
    found = crossed_estimate(values)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_people_with_a_missing_value_are_left_out() -> None:
    values = np.array([[1.0, np.nan, 3.0], [2.0, 9.0, 4.0]])
    assert crossed_estimate(values) == crossed_estimate(values[:, [0, 2]])
    assert crossed_estimate(values).count == 4


def test_what_cannot_have_an_interval_has_none() -> None:
    alone = crossed_estimate(np.array([[1.0], [2.0]]))
    assert (alone.mean, alone.low, alone.high) == (1.5, None, None)
    assert crossed_estimate(np.full((3, 4), np.nan)).mean is None
    constant = crossed_estimate(np.full((3, 4), 0.25))
    assert (constant.mean, constant.low, constant.high) == (0.25, 0.25, 0.25)
