"""The Frechet distance between two sets of features (Heusel et al. 2017, arXiv 1706.08500, equation 6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import lapack

from mcld_anim.core.errors import UsageError

Features = Float[np.ndarray, "..."]
"""(samples, dimensions); other shapes are refused."""


@dataclass(frozen=True, eq=False)
class Moments:
    """The Gaussian fitted to a set of features."""

    mean: Float[np.ndarray, " dimensions"]
    covariance: Float[np.ndarray, "dimensions dimensions"]
    """Of the sample, divided by its size less 1."""
    samples: int


class MomentMeter:
    """Adds up features a batch at a time, so that a set of any size needs no more memory than one covariance."""

    def __init__(self, dimensions: int) -> None:
        self.samples = 0
        self._mean = np.zeros(dimensions)
        self._scatter = np.zeros((dimensions, dimensions))

    def add(self, features: Features) -> None:
        """More samples (Chan et al. 1983, equation 2.1: sets are joined without loss of digits)."""
        if features.ndim != 2 or features.shape[1] != len(self._mean):
            raise UsageError(
                f"features of shape {features.shape}: expected (samples, dimensions), {len(self._mean)} of the latter"
            )
        count = len(features)
        if not count:
            return
        values = features.astype(np.float64)
        mean = values.mean(0)
        centred, shift = values - mean, mean - self._mean
        total = self.samples + count
        self._scatter += centred.T @ centred + np.outer(shift, shift) * (self.samples * count / total)
        self._mean = self._mean + shift * (count / total)
        self.samples = total

    def moments(self) -> Moments:
        """Mean and covariance of all samples; UsageError for fewer than two."""
        if self.samples < 2:
            raise UsageError(f"{self.samples} samples have no covariance: at least 2 of each set are needed")
        return Moments(self._mean, self._scatter / (self.samples - 1), self.samples)


def moments_of(features: Features) -> Moments:
    """Mean and covariance of features (samples, dimensions)."""
    if features.ndim != 2:
        raise UsageError(f"features of shape {features.shape}: expected (samples, dimensions)")
    meter = MomentMeter(features.shape[1])
    meter.add(features)
    return meter.moments()


def frechet_distance(real: Features, generated: Features) -> float:
    """`moment_distance` of Gaussians fitted to both sets."""
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise UsageError(f"feature sets of shapes {real.shape} and {generated.shape}: expected (samples, dimensions)")
    if min(len(real), len(generated)) < 2:
        raise UsageError(f"{len(real)} real and {len(generated)} generated samples: at least 2 of each are needed")
    return moment_distance(moments_of(real), moments_of(generated))


def moment_distance(real: Moments, generated: Moments) -> float:
    """|m - m'|^2 + Tr(C + C' - 2 (C C')^(1/2)).

    With C = R R^T, the eigenvalues of C C' other than 0 are those of R^T C' R, which is symmetric. R is the pivoted
    Cholesky factor of the smaller set's covariance, which has as many columns as the set has samples, less 1, at most.
    """
    small, large = sorted((real, generated), key=lambda one: one.samples)
    factor, pivots, rank, _ = lapack.dpstrf(small.covariance, lower=1)
    root = np.empty((len(factor), rank))
    root[pivots - 1] = np.tril(factor)[:, :rank]
    eigenvalues = np.linalg.eigvalsh(root.T @ large.covariance @ root) if rank else np.zeros(0)
    root_trace = np.sqrt(np.clip(eigenvalues, 0, None)).sum()  # rounding errors can be negative
    shift = real.mean - generated.mean
    return float(shift @ shift + np.trace(real.covariance) + np.trace(generated.covariance) - 2 * root_trace)
