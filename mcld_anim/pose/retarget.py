"""A driving IUV made into that of another body: other lengths and widths in the same pose, on the same ground.

Every segment's map from the rest body to the picture (`mcld_anim.pose.body_fit`) gets the new proportions along and
across the segment; joints carry the change down the chain; the surface that is seen moves by the skinning that the
maps were found with, so that it stays in one piece at the joints. Each frame is changed by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mcld_anim.body.surface import PARENTS, SEGMENTS, rest_body
from mcld_anim.core.arrays import Iuv
from mcld_anim.pose.body_fit import BodyFit, SegmentMaps, fit_body, posed
from mcld_anim.pose.proportions import LENGTH_SEGMENTS, WIDTH_SEGMENTS, Proportions, height_ratio
from mcld_anim.pose.surface_warp import Moved, draw_moved

LENGTH_ERRORS = {"trunk": 0.01, "head": 0.02, "leg": 0.02, "arm": 0.05}
WIDTH_ERRORS = {"hips": 0.01, "chest": 0.03, "head": 0.02, "thigh": 0.02, "shin": 0.02, "arm": 0.06}
"""By which the same person's photo and dance may differ (relative): what was seen on rendered people, rounded up."""
MOST_CHANGE = 1.6
"""Largest ratio of two people's parts beyond that of their heights: more is a wrong measurement."""


@dataclass(frozen=True, eq=False)
class Change:
    """How many times as long and as wide each segment shall be, and the scale of the body that is changed."""

    along: Float[np.ndarray, " segments"]
    across: Float[np.ndarray, " segments"]
    scale: float  # pixels of a metre of the driving body


def change_between(source: Proportions, driving: Proportions, height: float, limbs: bool) -> Change:
    """What turns the driving body into the source's, `height` times as tall; without `limbs` nothing but its size.

    Parts that one of the two does not show change as the height does. A difference counts as far as it stands out
    from the error of its measurement.
    """
    ratio = height_ratio(source, driving) or 1.0
    along, across = np.full(len(SEGMENTS), height), np.full(len(SEGMENTS), height)
    for target, parts, of_source, of_driving, errors in (
        (along, LENGTH_SEGMENTS, source.lengths, driving.lengths, LENGTH_ERRORS),
        (across, WIDTH_SEGMENTS, source.widths, driving.widths, WIDTH_ERRORS),
    ):
        for name, segments in parts.items():
            if limbs and name in of_source and name in of_driving:
                change = _certain(of_source[name] / of_driving[name] / ratio, errors[name])
                target[[segment.name in segments for segment in SEGMENTS]] *= change
    sizes = list(driving.lengths.values())
    return Change(along, across, float(np.median(sizes)) if sizes else 1.0)


def _certain(ratio: float, error: float) -> float:
    """A measured ratio drawn to 1 as far as it may be an error (Wiener's filter of its logarithm)."""
    difference = float(np.log(np.clip(ratio, 1 / MOST_CHANGE, MOST_CHANGE)))
    return float(np.exp(difference**3 / (difference**2 + error**2)))


def retargeted(iuv: Iuv, change: Change) -> Iuv:
    """The IUV of one frame with the changed body; of the same size, untouched where nobody is or nothing changes.

    The lowest point of the person keeps its height in the frame, the hips their place across it: who stands goes on
    standing, who jumps goes on jumping.
    """
    if np.all(change.along == 1) and np.all(change.across == 1):
        return iuv
    fit = fit_body(iuv)
    if fit is None:
        return iuv
    body = rest_body()
    maps, shares, places = changed_maps(fit.maps, change), body.shares[fit.cells], body.places[fit.cells]
    growth = shares @ change.across
    positions = posed(maps, shares, places)
    positions += growth[:, None] * (fit.positions - posed(fit.maps, shares, places))
    ground, low = fit.rows.max() + 1.0, float((positions[:, 1] + growth / 2).max())
    positions[:, 1] += ground - low
    depth, facing = _depths(fit, change, shares, places)
    moved = Moved(fit.rows, fit.columns, positions, growth, depth, facing, places, change.scale)
    return draw_moved(iuv, moved)


def changed_maps(maps: SegmentMaps, change: Change) -> SegmentMaps:
    """The segments' maps with other proportions; the hips' joint stays, every joint holds as well as it did."""
    body = rest_body()
    linear, shift = maps[:, :, :3], maps[:, :, 3]
    lengthened = np.einsum("sij,sj->si", linear, body.axes) * (change.along - change.across)[:, None]
    new = linear * change.across[:, None, None] + lengthened[:, :, None] * body.axes[:, None, :]
    moved = np.zeros_like(shift)
    for index, parent in enumerate(PARENTS):
        joint = body.joints[index]
        here = linear[index] @ joint + shift[index]
        if parent >= 0:
            gap = here - (linear[parent] @ joint + shift[parent])
            here = new[parent] @ joint + moved[parent] + gap * change.across[parent]
        moved[index] = here - new[index] @ joint
    return np.concatenate([new, moved[:, :, None]], 2)


def _depths(
    fit: BodyFit, change: Change, shares: np.ndarray, places: np.ndarray
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """How far each pixel's surface is from the camera (pixels, from the hips), and how much it faces it, -1..1.

    The two rows of a segment's map are the picture's axes as the segment sees them; the line of sight is at a right
    angle to both.
    """
    body, rows = rest_body(), fit.maps[:, :, :3]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=2, keepdims=True), 1e-9)
    sight = np.cross(rows[:, 0], rows[:, 1])
    clear = np.linalg.norm(sight, axis=1, keepdims=True)
    away = np.zeros(len(PARENTS))  # of each joint
    for index, parent in enumerate(PARENTS):
        # Where both rows point alike, pixels do not tell how the segment is turned: as its parent.
        sight[index] = sight[index] / clear[index] if clear[index] > 0.3 or parent < 0 else sight[parent]
        if parent >= 0:
            away[index] = away[parent] + sight[parent] @ (body.joints[index] - body.joints[parent])
    metres = away + np.einsum("sj,nsj->ns", sight, places[:, None] - body.joints)
    depth = (shares * metres).sum(1) * change.scale
    facing = -np.einsum("ns,sj,nj->n", shares, sight, body.normals[fit.cells])
    return depth, facing
