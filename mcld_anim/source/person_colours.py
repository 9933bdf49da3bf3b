"""Colours of a photographed person's head: skin, hair, and which of both their ears have."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

from mcld_anim.body.draw import DrawnBody
from mcld_anim.body.rig import load_body
from mcld_anim.core.arrays import Alpha, Picture
from mcld_anim.core.cielab import alike, to_lab

CHEEKS = (0.01, 0.05)
"""Distance below the eyes, in metres, in which the face shows skin: no hair and no beard."""
CROWN = 0.07
"""Height above the eyes, in metres, from which the head has the colour of its back: hair, or none."""
EAR, AROUND_EAR = 0.75, 0.02
"""Weights of the ear, 0..1, from which a place on the head is the ear's, and is at its rim."""
BALD_RANGE, LEAST_HAIR = (40.0, 7.0, 7.0), 0.3
"""Differences of L*, a* and b* from the cheeks up to which a crown shows skin, and the share of it from which the rest
is hair: heads are bald, or foreheads high."""
FACING, LEAST_PIXELS = 0.25, 20
"""Cosine between normal and line of sight, and pixels of a surface, from which it gives a colour."""


def crown() -> Bool[np.ndarray, " vertices"]:
    """Vertices of the crown."""
    body = load_body()
    return np.asarray(body.mean_vertices[:, 2] - body.joint("eye.L")[2] > CROWN)


def cheeks() -> Bool[np.ndarray, " vertices"]:
    """Vertices of the cheeks, where every face shows skin."""
    body = load_body()
    below = body.joint("eye.L")[2] - body.mean_vertices[:, 2]
    face = np.zeros(len(below), bool)
    face[body.face_vertices] = True
    bare = face & ~(body.eyes | (body.lips >= 0.1) | (body.ears >= 0.1))
    return np.asarray(bare & (below > CHEEKS[0]) & (below < CHEEKS[1]))


def hair_colour(colours: Picture, alpha: Alpha, drawn: DrawnBody) -> UInt8[np.ndarray, " 3"] | None:
    """Median colour of the crown, without the skin of a high forehead; None where the photo hardly shows it."""
    shown, skin = _pixels_of(crown(), colours, alpha, drawn), skin_colour(colours, alpha, drawn)
    if skin is not None and len(shown):
        hair = shown[~alike(shown, skin, BALD_RANGE)]
        shown = hair if len(hair) > LEAST_HAIR * len(shown) else shown
    return _median(shown)


def skin_colour(colours: Picture, alpha: Alpha, drawn: DrawnBody) -> UInt8[np.ndarray, " 3"] | None:
    """Median colour of the cheeks; None where the photo hardly shows them."""
    return _median(_pixels_of(cheeks(), colours, alpha, drawn))


def ears_under_hair(colours: Picture, alpha: Alpha, drawn: DrawnBody) -> str:
    """Sides ("L", "R") of the ears that hair hides. An ear that the photo does not show is as the other one."""
    hair, skin = hair_colour(colours, alpha, drawn), skin_colour(colours, alpha, drawn)
    if hair is None or skin is None:
        return ""
    hidden = {}
    for side in "LR":
        ear = _median(_pixels_of(ear_vertices(side, EAR), colours, alpha, drawn))
        if ear is not None:
            seen, covered, bare = (to_lab(one) for one in (ear, hair, skin))
            hidden[side] = bool(np.linalg.norm(seen - covered) < np.linalg.norm(seen - bare))
    usual = any(hidden.values())
    return "".join(side for side in "LR" if hidden.get(side, usual))


def ear_vertices(sides: str, least: float = AROUND_EAR) -> Bool[np.ndarray, " vertices"]:
    """Vertices of the ears of some sides, from a weight of the ear on; by default with their rim."""
    body = load_body()
    across = body.mean_vertices[:, 0]
    wanted = (across > 0) & ("L" in sides) | (across < 0) & ("R" in sides)
    return np.asarray(wanted & (body.ears > least))


def _pixels_of(
    vertices: Bool[np.ndarray, " vertices"], colours: Picture, alpha: Alpha, drawn: DrawnBody
) -> UInt8[np.ndarray, "pixels 3"]:
    """The colours of some vertices' surface in the photo, as far as it faces the camera."""
    facing = vertices[load_body().faces].all(1) & (drawn.facing > FACING)
    shown = drawn.inside & facing[drawn.triangle] & (alpha[drawn.box] > 0.9)
    return np.asarray(colours[drawn.box][shown])


def _median(colours: UInt8[np.ndarray, "pixels 3"]) -> UInt8[np.ndarray, " 3"] | None:
    """None of too few."""
    return None if len(colours) < LEAST_PIXELS else np.median(colours, axis=0).round().astype(np.uint8)
