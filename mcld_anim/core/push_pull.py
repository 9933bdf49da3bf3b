"""Hole filling by a push-pull pyramid.

Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4: known pixels are averaged down the pyramid until no hole is
left, and the averages fill the holes on the way up.
"""

from __future__ import annotations

import cv2
import numpy as np

_MIN_WEIGHT = 1e-4
_KERNEL = np.array([1, 3, 3, 1], np.float32) / 8  # smooth enough to hide the cells of coarser levels


def push_pull(colours: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Keep `colours` (H, W, 3) float32 where `weight` (H, W) float32 is 1; interpolate smoothly elsewhere."""
    if min(colours.shape[:2]) <= 1 or weight.min() > 1 - _MIN_WEIGHT:
        total = max(float(weight.sum()), _MIN_WEIGHT)
        mean = (colours * weight[..., None]).sum(axis=(0, 1)) / total
        return colours * weight[..., None] + mean * (1 - weight[..., None])
    height, width = weight.shape
    weighted = _halve(np.dstack([colours * weight[..., None], weight]))
    coarse_weight = weighted[..., 3]
    coarse = weighted[..., :3] / np.maximum(coarse_weight, _MIN_WEIGHT)[..., None]
    filled = push_pull(coarse, np.minimum(1.0, coarse_weight * 2))
    behind = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    return colours * weight[..., None] + behind * (1 - weight[..., None])


def _halve(planes: np.ndarray) -> np.ndarray:
    padded = cv2.copyMakeBorder(planes, 1, 2, 1, 2, cv2.BORDER_REPLICATE)
    smooth = cv2.sepFilter2D(padded, -1, _KERNEL, _KERNEL, anchor=(1, 1))
    return np.ascontiguousarray(smooth[1:-2:2, 1:-2:2])
