"""Where on the rigged body garments, head and bare skin lie: a share for each vertex, and for each texel of the atlas.

The regions follow DensePose's parts, but garments do not: the torso's charts reach down to the crotch, so shirt and
trousers meet at a hem, a height of the body at rest; and collars stand on the neck, which DensePose counts to the head.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from mcld_anim.body.part_labels import (
    FOOT_PART,
    HAND_PART,
    HEAD_PART,
    LOWER_ARM_PARTS,
    LOWER_LEG_PARTS,
    TORSO_BACK,
    TORSO_FRONT,
    UPPER_ARM_PARTS,
    UPPER_LEG_PARTS,
)
from mcld_anim.body.rig import incidence, load_body
from mcld_anim.body.surface import GRID, rest_body
from mcld_anim.core.arrays import ATLAS_SIZE, PART_COUNT

Share = Float[np.ndarray, " vertices"]
"""How much of a vertex's surface is in a region, 0..1; in between at its seam."""
TexelShare = Float[np.ndarray, "24 200 200"]
"""The same of the atlas's texels."""

USUAL_HEM = 0.12
"""Height of the hem at rest, in metres, where a photo does not show it: the hip joints, ten centimetres above the
crotch."""
SEAM = 0.012
"""Half the width of the seam at a hem, in metres."""
ROUNDS = 4
"""Rounds of smoothing other seams over the mesh, each by about an edge: two centimetres on the limbs."""
UNDER_CHIN = 0.3
"""Skin weight of the neck's bones from which the head is neck: collars reach up to the chin."""
ARMPIT = 0.5
"""Height at rest, in metres, below which a torso is never taken for bare skin."""

_TORSO, _HEAD = (TORSO_BACK, TORSO_FRONT), tuple(HEAD_PART.values())
_FEET, _HANDS = tuple(FOOT_PART.values()), tuple(HAND_PART.values())
_ARMS = tuple(part for pair in (*UPPER_ARM_PARTS.values(), *LOWER_ARM_PARTS.values()) for part in pair)
_LEGS = tuple(part for pair in (*UPPER_LEG_PARTS.values(), *LOWER_LEG_PARTS.values()) for part in pair)


def garment_share(garment: str, hem: float) -> Share:
    """The region of a garment, "upper", "lower" or "shoes"; `hem` is the height at rest, in metres, where the upper one
    ends."""
    above = np.clip((_heights() - hem) / (2 * SEAM) + 0.5, 0, 1)
    if garment == "upper":
        whole = np.minimum(_share((*_TORSO, *_LEGS, *_ARMS)) + neck_share(), 1 - 2 * head_share())  # none of the chin
        return np.asarray((whole * np.maximum(above, _share(_ARMS) > 0)).clip(0, 1))
    if garment == "lower":
        return np.asarray(_share((*_TORSO, *_LEGS)) * (1 - above))
    return _share(_FEET)


@cache
def head_share() -> Share:
    """The head with its hair, without the neck, which has the collar."""
    return np.asarray((_share(_HEAD) - neck_share()).clip(0, 1))


@cache
def neck_share() -> Share:
    """The neck, as far as it has DensePose's parts of the head."""
    body = load_body()
    neck = body.weight("neck") > UNDER_CHIN
    head = np.isin(body.part, _HEAD)
    return _smoothed(head & neck[body.faces].all(1))


@cache
def bare_share() -> Share:
    """Where skin may be bare: limbs, neck and the upper chest."""
    chest = np.clip((_heights() - ARMPIT) / (2 * SEAM) + 0.5, 0, 1)
    return np.asarray(_share((*_ARMS, *_LEGS, *_FEET, *_HANDS, *_HEAD)) + _share(_TORSO) * chest)


@cache
def torso_and_legs() -> Bool[np.ndarray, " vertices"]:
    """The vertices among which a hem is looked for."""
    return _share((*_TORSO, *_LEGS)) > 0.9


def on_texels(share: Share) -> TexelShare:
    """A region on the atlas."""
    return np.asarray(share[_nearest_vertices()], np.float32)


def texel_heights() -> TexelShare:
    """The height of each texel at rest, in metres."""
    return np.asarray(_heights()[_nearest_vertices()], np.float32)


@cache
def _share(parts: tuple[int, ...]) -> Share:
    return _smoothed(np.isin(load_body().part, parts))


def _smoothed(triangles: Bool[np.ndarray, " triangles"]) -> Share:
    """The share of each vertex's triangles that are chosen, smooth over the mesh."""
    body = load_body()
    around = incidence(body.faces, len(body.mean_vertices))
    count = np.asarray(around.sum(1)).ravel()
    share = around @ triangles.astype(np.float32) / count
    for _ in range(ROUNDS):
        share = around @ share[body.faces].mean(1) / count
    return np.asarray(share, np.float32)


def _heights() -> Share:
    return np.asarray(load_body().mean_vertices[:, 2])


@cache
def _nearest_vertices() -> Int[np.ndarray, "24 200 200"]:
    """The vertex next to each texel of the atlas."""
    places = rest_body().places.reshape(PART_COUNT, GRID, GRID, 3)[:, ::-1]  # V is the row, upwards
    _, nearest = cKDTree(load_body().mean_vertices).query(places.reshape(-1, 3))
    cell = np.arange(ATLAS_SIZE) * GRID // ATLAS_SIZE
    return np.asarray(nearest.reshape(PART_COUNT, GRID, GRID)[:, cell[:, None], cell])
