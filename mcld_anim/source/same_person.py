"""Whether two photos show one person: by the faces where an embedder for photographs is at hand, and by the clothes."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

from mcld_anim.source.face import Face, FaceBackend, similarity
from mcld_anim.source.surface_views import DARK, SurfaceView, compared_colours, usual_change

MOST_EXPOSURE, MOST_TINT = 0.4, 0.1
"""Natural logarithms of brightness, and of a channel against the others, by which photos of one person may differ."""
LIGHTNESS = 0.5
"""Weight of lightness beside colour: light and shade change it."""
OTHER_CLOTHES = 13.0
"""Distance in CIELAB from which clothes are somebody else's; `mcld-anim synth photos` measures how often that errs."""
FACES_OF_PHOTOGRAPHS = ("insightface", "dlib")
"""Embedders whose similarity tells people apart in photographs."""


def other_face(backend: FaceBackend | None, face: Face | None, other: Face | None) -> bool:
    """Whether two photos' faces are two people's; False where that cannot be told."""
    if backend is None or backend.name not in FACES_OF_PHOTOGRAPHS or face is None or other is None:
        return False
    return similarity(face, other) < backend.threshold


def other_clothes(first: SurfaceView, second: SurfaceView) -> bool:
    """Whether two photos' clothes are two people's; False where that cannot be told."""
    distance = clothes_distance(first, second)
    return distance is not None and distance > OTHER_CLOTHES


def clothes_distance(first: SurfaceView, second: SurfaceView) -> float | None:
    """Mean distance in CIELAB between the colours of the garments that both photos show, after what exposure and white
    balance may have changed is taken off; None if they share none."""
    colours, others, weights = compared_colours(first, second)
    if not len(weights):
        return None
    change = usual_change(colours, others, weights)
    exposure = change.mean()
    tint = (change - exposure).clip(-MOST_TINT, MOST_TINT)
    matched = (others + DARK) * np.exp(tint + exposure.clip(-MOST_EXPOSURE, MOST_EXPOSURE)) - DARK
    difference = (_lab(colours) - _lab(matched)) * [LIGHTNESS, 1, 1]
    return float(np.average(np.linalg.norm(difference, axis=1), weights=weights))


def _lab(colours: Float[np.ndarray, "garments 3"]) -> Float[np.ndarray, "garments 3"]:
    scaled = (colours / 255).clip(0, 1).astype(np.float32)[None]
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB)[0])
