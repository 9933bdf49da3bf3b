"""Colours in CIELAB, where distances are about as large as people see them."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Real


def to_lab(colours: Real[np.ndarray, "*places 3"]) -> Float[np.ndarray, "*places 3"]:
    """L* in 0..100, a* and b*, float32, of RGB levels 0..255; others are clipped."""
    flat = np.ascontiguousarray(colours.reshape(-1, 1, 3), np.float32) / 255
    return np.asarray(cv2.cvtColor(flat.clip(0, 1), cv2.COLOR_RGB2LAB)).reshape(colours.shape)


def alike(
    colours: Real[np.ndarray, "*places 3"], colour: Real[np.ndarray, "*#places 3"], most: tuple[float, float, float]
) -> Bool[np.ndarray, "*places"]:
    """Where RGB colours differ from another in L*, a* and b* by less than `most` each."""
    return np.asarray((np.abs(to_lab(colours) - to_lab(colour)) < most).all(-1))


def to_rgb(lab: Float[np.ndarray, "*places 3"]) -> Float[np.ndarray, "*places 3"]:
    """RGB levels 0..255, float32, of L*, a* and b*; colours that RGB lacks are clipped."""
    flat = np.ascontiguousarray(lab.reshape(-1, 1, 3), np.float32)
    return (np.asarray(cv2.cvtColor(flat, cv2.COLOR_LAB2RGB)) * 255).clip(0, 255).reshape(lab.shape)
