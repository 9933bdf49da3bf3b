"""Confidence intervals of means over several trainings and the same people: two crossed random factors."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy import stats

from mcld_anim.metrics.bootstrap import CONFIDENCE, Estimate


def crossed_estimate(values: Float[np.ndarray, "trainings people"]) -> Estimate:
    """The mean of a metric and its 95 % interval for other trainings and other people.

    Every training is measured on the same people, so values of one training and values of one person belong together:
    the factors are crossed. The mean's variance is (MS_trainings + MS_people) / (trainings people), the mean squares of
    the two-way analysis of variance, and Student's t has Satterthwaite's degrees of freedom (1946, "An approximate
    distribution of estimates of variance components", Biometrics Bulletin 2). The unbiased variance also subtracts the
    residual's mean square, as two-way clustering does (Cameron, Gelbach and Miller 2011, "Robust inference with
    multiway clustering"); it is not subtracted here, because the result can be negative, and because an interval should
    be too wide rather than too narrow. With one training only people vary.

    Why no bootstrap: three trainings have ten resamples, and their percentile interval cannot know that three is few.
    In simulations of three trainings and twelve people, hierarchical and pigeonhole bootstraps (Owen 2007) cover the
    true mean in 73 to 98 % of the cases, this interval in 94 to 99 %.

    NaN is no value: a person who lacks one in any training is left out. Fewer than two people have no interval.
    """
    known = values[:, ~np.isnan(values).any(axis=0)]
    trainings, people = known.shape
    if not people:
        return Estimate(None, None, None, 0)
    mean = float(known.mean())
    if people < 2:
        return Estimate(mean, None, None, known.size)
    squares = [trainings * known.mean(axis=0).var(ddof=1)]
    freedom = [people - 1]
    if trainings > 1:
        squares.append(people * known.mean(axis=1).var(ddof=1))
        freedom.append(trainings - 1)
    total = sum(squares)
    if not total:
        return Estimate(mean, mean, mean, known.size)
    degrees = total**2 / sum(square**2 / free for square, free in zip(squares, freedom, strict=True))
    half = stats.t.ppf((1 + CONFIDENCE) / 2, degrees) * np.sqrt(total / known.size)
    return Estimate(mean, float(mean - half), float(mean + half), known.size)
