"""PSNR and SSIM between pictures, optionally inside a mask.

Pictures are float arrays (H, W, 3) RGB in 0..1 unless stated otherwise; uint8 pictures are divided by 255. SSIM is that
of Wang et al. 2004 ("Image quality assessment", equation 13). Means over windows follow scikit-image: windows that
cross the border do not count. The published MCLD evaluation uses two variants with peculiarities (`ssim_published`,
`ssim_256_published`), kept so that numbers are comparable.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from mcld_anim.core.errors import UsageError

AnyPicture = Float[np.ndarray, "_height _width 3"] | UInt8[np.ndarray, "_height _width 3"]
Mask = Bool[np.ndarray, "height width"]

GAUSSIAN_SIGMA = 1.5  # Wang et al. 2004, section III-B: an 11x11 circular-symmetric Gaussian window
GAUSSIAN_RADIUS = 5
PUBLISHED_WINDOW = 51


def psnr(predicted: AnyPicture, truth: AnyPicture, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB, peak 1; only pixels of `mask` count. inf for identical pictures."""
    predicted, truth = _as_float(predicted), _as_float(truth)
    _same_shape(predicted, truth)
    error = (predicted - truth) ** 2
    if mask is not None:
        error = error[_checked_mask(mask, truth)]
    mean = float(error.mean())
    return float("inf") if mean == 0 else float(10 * np.log10(1 / mean))


def ssim(predicted: AnyPicture, truth: AnyPicture, mask: Mask | None = None) -> float:
    """Structural similarity with the Gaussian window of the paper, data range 1, mean over channels.

    With `mask`, the mean is over the windows whose centre lies in it.
    """
    predicted, truth = _as_float(predicted), _as_float(truth)
    _same_shape(predicted, truth)
    similarity = _ssim_map(predicted, truth, _gaussian, 1.0, 1.0)
    return _inner_mean(similarity, GAUSSIAN_RADIUS, mask)


def ssim_published(predicted: AnyPicture, truth: AnyPicture) -> float:
    """The published table's "SSIM": uniform 51x51 windows, sample covariance, data range 1."""
    predicted, truth = _as_float(predicted), _as_float(truth)
    _same_shape(predicted, truth)
    samples = PUBLISHED_WINDOW**2
    similarity = _ssim_map(predicted, truth, _uniform, samples / (samples - 1), 1.0)
    return _inner_mean(similarity, PUBLISHED_WINDOW // 2)


def ssim_256_published(predicted: AnyPicture, truth: AnyPicture) -> float:
    """The published table's "SSIM_256": Gaussian windows on 0..255, data range = the prediction's max - min."""
    predicted, truth = _as_float(predicted) * 255, _as_float(truth) * 255
    _same_shape(predicted, truth)
    data_range = float(predicted.max() - predicted.min())
    return _inner_mean(_ssim_map(predicted, truth, _gaussian, 1.0, data_range), GAUSSIAN_RADIUS)


def _ssim_map(
    first: np.ndarray,
    second: np.ndarray,
    window: Callable[[np.ndarray], np.ndarray],
    covariance_factor: float,
    data_range: float,
) -> np.ndarray:
    """SSIM of every window and channel (H, W, 3); K1 = 0.01 and K2 = 0.03 as in the paper."""
    mean_1, mean_2 = window(first), window(second)
    variance_1 = covariance_factor * (window(first * first) - mean_1 * mean_1)
    variance_2 = covariance_factor * (window(second * second) - mean_2 * mean_2)
    covariance = covariance_factor * (window(first * second) - mean_1 * mean_2)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    numerator = (2 * mean_1 * mean_2 + c1) * (2 * covariance + c2)
    return numerator / ((mean_1**2 + mean_2**2 + c1) * (variance_1 + variance_2 + c2))


def _gaussian(plane: np.ndarray) -> np.ndarray:
    return ndimage.gaussian_filter(plane, (GAUSSIAN_SIGMA, GAUSSIAN_SIGMA, 0), radius=(GAUSSIAN_RADIUS,) * 2 + (0,))


def _uniform(plane: np.ndarray) -> np.ndarray:
    return ndimage.uniform_filter(plane, (PUBLISHED_WINDOW, PUBLISHED_WINDOW, 1))


def _inner_mean(similarity: np.ndarray, border: int, mask: Mask | None = None) -> float:
    """Mean over the windows that lie inside the picture and, with a mask, are centred in it."""
    height, width = similarity.shape[:2]
    if min(height, width) <= 2 * border:
        raise UsageError(
            f"pictures of {height}x{width} are smaller than the SSIM window of {2 * border + 1}: use larger ones"
        )
    inner = similarity[border : height - border, border : width - border]
    if mask is None:
        return float(inner.mean(dtype=np.float64))
    inner_mask = _checked_mask(mask, similarity)[border : height - border, border : width - border]
    return float(inner[inner_mask].mean(dtype=np.float64)) if inner_mask.any() else float("nan")


def _as_float(picture: AnyPicture) -> np.ndarray:
    return picture.astype(np.float64) / 255 if picture.dtype == np.uint8 else picture.astype(np.float64)


def _same_shape(predicted: np.ndarray, truth: np.ndarray) -> None:
    if predicted.shape != truth.shape or predicted.ndim != 3:
        raise UsageError(
            f"pictures to compare have shapes {predicted.shape} and {truth.shape}: resize one to the other"
        )


def _checked_mask(mask: Mask, picture: np.ndarray) -> Mask:
    if mask.shape != picture.shape[:2] or not mask.any():
        raise UsageError(
            f"mask of shape {mask.shape} with {int(mask.sum())} pixels does not fit a picture of "
            f"{picture.shape[:2]}: give one boolean per pixel with at least one true"
        )
    return mask.astype(bool)
