"""Other clothes for rendered people, painted by IUV: jackets with shirt and tie, sleeves, photographed cloth.

The renderer has none of these, and photographs are full of them.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from numpy.typing import NDArray

from mcld_anim.body.part_labels import LOWER_ARM_PARTS, TORSO_BACK, TORSO_FRONT, UPPER_ARM_PARTS
from mcld_anim.core.arrays import AnySizePicture, Iuv
from mcld_anim.synthetic.backdrops import Floats, random_colour, random_crop

UPPER_ARMS = (*UPPER_ARM_PARTS["L"], *UPPER_ARM_PARTS["R"])
LOWER_ARMS = (*LOWER_ARM_PARTS["L"], *LOWER_ARM_PARTS["R"])
MIDDLE = 0.47
"""V of the centre line, from throat to crotch, on the front of the torso; U grows from 0 at the throat to 1."""
SHADING_RANGE = (0.5, 1.6)
"""Range of the old cloth's brightness relative to its mean; values beyond it come from a pattern, not a fold."""

Material = UInt8[np.ndarray, "256 256 3"]


def dressed(values: Floats, labels: Iuv, rng: np.random.Generator, pictures: list[AnySizePicture]) -> Floats:
    """`values` (H, W, 3) in 0..255 with other clothes on torso and arms; `labels` (H, W, 3) is the IUV.

    Legs are unchanged, because a skirt hides legs that the labels show. `pictures` (at least 256x256) sometimes serve
    as cloth. Folds and shadows are kept.
    """
    part = labels[..., 0]
    jacket = rng.random() < 0.6
    torso = np.isin(part, (TORSO_BACK, TORSO_FRONT))
    upper, lower = np.isin(part, UPPER_ARMS), np.isin(part, LOWER_ARMS)
    cloth = _material(rng, pictures)
    sleeve = cloth if jacket or rng.random() < 0.5 else _material(rng, pictures)
    layers = [(torso, cloth)]
    layers += [(upper, sleeve)] if jacket or rng.random() < 0.7 else []
    layers += [(lower, sleeve)] if rng.random() < (0.9 if jacket else 0.3) else []
    if jacket:
        layers += _front(part, labels, cloth, rng)
    shade = _shading(values, torso | upper | lower)
    result = values.copy()
    for mask, material in layers:
        _paint(result, material[labels[..., 2], labels[..., 1]] * shade, mask, (part == 0) | mask)
    return np.clip(result, 0, 255)


def _paint(
    values: Floats, painted: Floats, mask: Bool[np.ndarray, "height width"], allowed: Bool[np.ndarray, "height width"]
) -> None:
    """Blend `painted` into `values` inside the mask, and half-way on the `allowed` pixels just outside it, where the
    old cloth would otherwise remain as a seam."""
    inside = mask.astype(np.float32)
    alpha = cv2.GaussianBlur(inside, (3, 3), 0)
    around = cv2.GaussianBlur(painted * inside[..., None], (3, 3), 0) / np.maximum(alpha, 1e-3)[..., None]
    colours = np.where(mask[..., None], painted, around)
    values += np.maximum(alpha, 2 * alpha * mask).clip(max=1)[..., None] * allowed[..., None] * (colours - values)


def _front(
    part: NDArray[np.uint8], labels: Iuv, cloth: Material, rng: np.random.Generator
) -> list[tuple[Bool[np.ndarray, "height width"], Material]]:
    """Layers that an open jacket shows: lapels, shirt, sometimes a tie."""
    down = labels[..., 1] / 255
    aside = abs(labels[..., 2] / 255 - MIDDLE - rng.normal(0, 0.02))
    depth, width = rng.uniform(0.25, 1.2), rng.uniform(0.08, 0.3)
    open_to = width * (1 - down / depth)
    front = part == TORSO_FRONT
    light = rng.uniform(190, 250) + rng.normal(0, 6, 3) if rng.random() < 0.7 else random_colour(rng)
    lapel = np.asarray(cloth * rng.uniform(0.4, 1.5), np.float32).clip(0, 255).astype(np.uint8)
    layers = [(front & (aside < open_to + rng.uniform(0.02, 0.08)) & (down < depth), lapel)]
    layers += [(front & (aside < open_to), _plain(light))]
    if rng.random() < 0.5:
        tie = rng.uniform(0.02, 0.05) * (0.7 + down)
        layers += [(front & (aside < np.minimum(tie, open_to)), _plain(random_colour(rng)))]
    return layers


def _material(rng: np.random.Generator, pictures: list[AnySizePicture]) -> Material:
    """Colours by V and U: plain and dark, plain, or a crop of a picture."""
    kind = rng.random()
    if kind < 0.45:
        return _plain(rng.uniform(5, 75) + rng.normal(0, 8, 3))
    if kind < 0.7 or not pictures:
        return _plain(random_colour(rng))
    return random_crop(pictures, rng, 256)


def _plain(colour: NDArray[np.floating]) -> Material:
    return np.broadcast_to(colour.clip(0, 255).astype(np.uint8), (256, 256, 3))


def _shading(values: Floats, cloth: Bool[np.ndarray, "height width"]) -> Floats:
    """Brightness (H, W, 1) of each pixel relative to the cloth's mean; small patterns are smoothed away."""
    light = cv2.GaussianBlur(values.mean(-1), (0, 0), 1.5)
    mean = float(light[cloth].mean()) if cloth.any() else 1.0
    return np.clip(light / max(mean, 1.0), *SHADING_RANGE)[..., None]
