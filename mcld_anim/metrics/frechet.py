"""The Frechet distance between two sets of features (Heusel et al. 2017, arXiv 1706.08500, equation 6)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from mcld_anim.core.errors import UsageError

Features = Float[np.ndarray, "..."]
"""(samples, dimensions); other shapes are refused."""


def frechet_distance(real: Features, generated: Features) -> float:
    """|m - m'|^2 + Tr(C + C' - 2 (C C')^(1/2)) of Gaussians fitted to both sets (sample covariance).

    The trace of the square root is the sum of the square roots of the eigenvalues of C C'. They are real and
    non-negative because C and C' are covariances; negative rounding errors are clipped to zero.
    """
    if real.ndim != 2 or generated.ndim != 2 or real.shape[1] != generated.shape[1]:
        raise UsageError(f"feature sets of shapes {real.shape} and {generated.shape}: expected (samples, dimensions)")
    if min(len(real), len(generated)) < 2:
        raise UsageError(f"{len(real)} real and {len(generated)} generated samples: at least 2 of each are needed")
    real, generated = real.astype(np.float64), generated.astype(np.float64)
    shift = real.mean(0) - generated.mean(0)
    first = np.atleast_2d(np.cov(real, rowvar=False))
    second = np.atleast_2d(np.cov(generated, rowvar=False))
    eigenvalues = np.linalg.eigvals(first @ second).real
    root_trace = np.sqrt(np.clip(eigenvalues, 0, None)).sum()
    return float(shift @ shift + np.trace(first) + np.trace(second) - 2 * root_trace)
