"""Whether two photos show one person: by the faces where an embedder for photographs is at hand, by the clothes, and by
the surface that both show, which also tells a body that was not seen right."""

from __future__ import annotations

import numpy as np

from mcld_anim.core.cielab import to_lab
from mcld_anim.source.face import Face, FaceBackend, similarity
from mcld_anim.source.surface_views import DARK, SurfaceView, compared_colours, matched_gains, usual_change

MOST_EXPOSURE, MOST_TINT = 0.4, 0.1
"""Natural logarithms of brightness, and of a channel against the others, by which photos of one person may differ."""
LIGHTNESS = 0.5
"""Weight of lightness beside colour: light and shade change it."""
OTHER_CLOTHES = 13.0
"""Distance in CIELAB from which clothes are somebody else's; `mcld-anim synth photos` measures how often that errs."""
LEAST_SHARED = 0.15
"""Share of what a photo shows that another one shows too, from which their colours there are compared."""
OTHER_COLOURS = 9.0
"""Median distance in CIELAB of the shared surface from which one of two bodies is not where it was seen. Two poses of a
rendered person differ by 7 at most, frames of a real clip by 4 to 6, and by 11 to 14 where a fit failed."""
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
    difference = (to_lab(colours) - to_lab(matched)) * [LIGHTNESS, 1, 1]
    return float(np.average(np.linalg.norm(difference, axis=1), weights=weights))


def other_colours(first: SurfaceView, second: SurfaceView) -> bool:
    """Whether two photos' colours differ on the surface that both show; False where they hardly share any."""
    distance = surface_distance(first, second)
    return distance is not None and distance > OTHER_COLOURS


def surface_distance(first: SurfaceView, second: SurfaceView) -> float | None:
    """Median distance in CIELAB of the surface that both photos show, in the first one's exposure and white balance;
    None if they hardly share any."""
    both = first.valid & second.valid
    if np.count_nonzero(both) < LEAST_SHARED * max(1, min(first.valid.sum(), second.valid.sum())):
        return None
    gain = matched_gains([first, second])[1]
    difference = (to_lab(first.atlas[both]) - to_lab(second.atlas[both] * gain)) * [LIGHTNESS, 1, 1]
    return float(np.median(np.linalg.norm(difference, axis=1)))
