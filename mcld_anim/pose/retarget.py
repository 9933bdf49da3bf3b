"""Retargeting a driving IUV to another body: other lengths and widths in the same pose, on the same ground.

Every segment's map from the rest body to the picture (`mcld_anim.pose.body_fit`) is scaled along and across the
segment, and joints propagate the change down the chain. The visible surface moves by the same skinning that the maps
were fitted with, so it stays connected at the joints. Frames are independent of each other.
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
"""Relative error of a measurement: the difference between photo and dance of rendered people, rounded up."""
MOST_CHANGE = 1.6
"""Largest ratio between two people's parts after division by that of their heights; more is a wrong measurement."""


@dataclass(frozen=True, eq=False)
class Change:
    """Scale factors of each segment, and the scale of the body that they apply to."""

    along: Float[np.ndarray, " segments"]
    across: Float[np.ndarray, " segments"]
    scale: float  # pixels per metre of the driving body


def change_between(source: Proportions, driving: Proportions, height: float, limbs: bool) -> Change:
    """The change from the driving body to the source's, `height` times as tall; without `limbs` of its size alone.

    Parts that either does not show change with the height. Differences are shrunk by the error of their measurement.
    """
    ratio = height_ratio(source, driving) or 1.0
    along, across = np.full(len(SEGMENTS), height), np.full(len(SEGMENTS), height)
    for target, parts, of_source, of_driving, errors in (
        (along, LENGTH_SEGMENTS, source.lengths, driving.lengths, LENGTH_ERRORS),
        (across, WIDTH_SEGMENTS, source.widths, driving.widths, WIDTH_ERRORS),
    ):
        for name, segments in parts.items():
            if limbs and name in of_source and name in of_driving:
                change = _shrunk(of_source[name] / of_driving[name] / ratio, errors[name])
                target[[segment.name in segments for segment in SEGMENTS]] *= change
    sizes = list(driving.lengths.values())
    return Change(along, across, float(np.median(sizes)) if sizes else 1.0)


def _shrunk(ratio: float, error: float) -> float:
    """A measured ratio, shrunk towards 1 by a Wiener filter in log space."""
    difference = float(np.log(np.clip(ratio, 1 / MOST_CHANGE, MOST_CHANGE)))
    return float(np.exp(difference**3 / (difference**2 + error**2)))


def retargeted(iuv: Iuv, change: Change) -> Iuv:
    """The IUV of one frame with the changed body, at the same size; unchanged without a person or a change.

    The person's lowest point keeps its height in the frame, and the hips their horizontal position, so standing people
    keep standing and jumps stay jumps.
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
    """The segments' maps with the new proportions; the hips' joint stays, and joints stay as tight as they were."""
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
    """Each pixel's depth (pixels away from the camera, relative to the hips) and how much it faces the camera, -1..1.

    The two rows of a segment's map are the picture's axes in the segment's coordinates; the line of sight is
    perpendicular to both.
    """
    body, rows = rest_body(), fit.maps[:, :, :3]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=2, keepdims=True), 1e-9)
    sight = np.cross(rows[:, 0], rows[:, 1])
    clear = np.linalg.norm(sight, axis=1, keepdims=True)
    away = np.zeros(len(PARENTS))  # of each joint
    for index, parent in enumerate(PARENTS):
        # If the rows are nearly parallel, the segment's rotation is undetermined: it takes its parent's.
        sight[index] = sight[index] / clear[index] if clear[index] > 0.3 or parent < 0 else sight[parent]
        if parent >= 0:
            away[index] = away[parent] + sight[parent] @ (body.joints[index] - body.joints[parent])
    metres = away + np.einsum("sj,nsj->ns", sight, places[:, None] - body.joints)
    depth = (shares * metres).sum(1) * change.scale
    facing = -np.einsum("ns,sj,nj->n", shares, sight, body.normals[fit.cells])
    return depth, facing
