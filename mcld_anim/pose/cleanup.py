"""Temporal clean-up of poses: errors of one frame's DensePose are repaired from the frames before and after it.

Each frame is compared with its two neighbours, moved along the surface to its own body. Where both neighbours show
another part, or a person instead of background, they win (temporal majority). U and V become a weighted mean along the
correspondences. Small holes inside the person are filled from their edge. A frame that agrees with neither neighbour,
while those agree with each other, is replaced by the frame before. Only raw frames are read, one in each direction and
never across a cut, so a frame does not depend on the batch size. A shift of U and V that a whole part shares looks like
motion and stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from mcld_anim.body.clip import FramePose, PoseStatus
from mcld_anim.body.correspondence import carried, correspond, surface_motion
from mcld_anim.core.arrays import Iuv

NEIGHBOUR_WEIGHT = 0.9
"""Vote of a neighbour at full strength; the frame's own is 1. From a strength of 0.56 on, two agreeing neighbours
outvote the frame."""
SAME_COORDINATE = 24
"""Largest difference of U or V, in levels, at which neighbours are averaged. More is another place, not jitter."""
MOTION_REACH = 0.1
"""Distance beyond the IUV to which motion is continued, as a fraction of the person's height."""
MOTION_WINDOW = 11
"""Side of the square over which motion is averaged, in pixels. Noisy U and V match pixels beside the true place;
averaging over fewer pixels would let them confirm themselves."""
OUTLIER = 0.5
"""Agreement with both neighbours, as a fraction of their agreement with each other, below which a frame is an
outlier."""
LEAST_AGREEMENT = 0.25
"""Agreement of the two neighbours with each other from which they can declare an outlier."""
HOLE = 0.01
"""Largest area of a hole, as a fraction of the person's area."""
NOTABLE_FILL = 0.02
"""Filled area from which a frame is marked as repaired, as a fraction of the person's area."""

RawPose = tuple[Iuv, bool, bool]
"""A frame's IUV, whether its person was found, and whether the video cuts to it."""


def cleaned(poses: Iterable[RawPose], strength: float) -> Iterator[FramePose]:
    """The poses (IUV of one size), repaired with `strength` 0..1; 0 leaves every IUV untouched."""
    window: list[RawPose | None] = [None, None, None]  # the one before, this one, the one after
    for pose in _then_none(poses):
        window = [*window[1:], pose]
        if window[1] is not None:
            yield _cleaned(window[0], window[1], window[2], strength)


def agreement(first: Iuv, second: Iuv) -> float:
    """Intersection over union of two persons, counting only pixels of the same part as shared."""
    either = (first[..., 0] > 0) | (second[..., 0] > 0)
    same = (first[..., 0] == second[..., 0]) & either
    return float(same.sum() / max(1, either.sum()))


def _then_none(poses: Iterable[RawPose]) -> Iterator[RawPose | None]:
    yield from poses
    yield None


def _cleaned(earlier: RawPose | None, pose: RawPose, later: RawPose | None, strength: float) -> FramePose:
    iuv, found, cut = pose
    status: PoseStatus = "seen" if found else "held"
    before = None if earlier is None or cut else earlier[0]
    after = None if later is None or later[2] else later[0]
    if strength == 0 or not found:
        return FramePose(iuv, found, status, cut)
    if before is not None and after is not None and _is_outlier(iuv, before, after):
        return FramePose(before, found, "replaced", cut)
    voted = _voted(iuv, [other for other in (before, after) if other is not None], strength)
    filled = _without_holes(voted)
    person = iuv[..., 0] > 0
    # One pixel more or less along the outline does not count as a repair.
    gained = (filled[..., 0] > 0) & (cv2.dilate(person.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    gained |= (filled[..., 0] > 0) & ~person & (cv2.erode((filled[..., 0] > 0).astype(np.uint8), np.ones((3, 3))) > 0)
    return FramePose(filled, found, "filled" if gained.sum() > NOTABLE_FILL * person.sum() else status, cut)


def _is_outlier(iuv: Iuv, before: Iuv, after: Iuv) -> bool:
    both = agreement(before, after)
    return both >= LEAST_AGREEMENT and max(agreement(iuv, before), agreement(iuv, after)) < OUTLIER * both


def _voted(iuv: Iuv, others: list[Iuv], strength: float) -> Iuv:
    """Parts by weighted majority, with the mean U and V of the frames that voted for them."""
    rows = np.flatnonzero((iuv[..., 0] > 0).any(1))
    if not len(rows) or not others:
        return iuv
    reach = max(2.0, MOTION_REACH * float(np.ptp(rows) + 1))
    voters, weights = [iuv], [1.0]
    for other in others:
        motion, near = surface_motion(correspond(iuv, other), reach, MOTION_WINDOW)
        moved = carried(other, np.where(near[..., None] > 0, motion, 0).astype(np.float32), nearest=True)
        voters.append(moved)
        weights.append(NEIGHBOUR_WEIGHT * strength)
    labels = np.stack([voter[..., 0] for voter in voters])
    votes = np.stack([sum(w * (label == one) for label, w in zip(labels, weights, strict=True)) for one in labels])
    chosen = votes.argmax(0)  # ties go to the frame itself
    winner = np.take_along_axis(np.stack(voters), chosen[None, ..., None], 0)[0]
    total, weight = np.zeros((*iuv.shape[:2], 2)), np.zeros(iuv.shape[:2])
    for voter, w in zip(voters, weights, strict=True):
        gap = np.abs(voter[..., 1:].astype(int) - winner[..., 1:]).max(-1)
        counts = w * ((voter[..., 0] == winner[..., 0]) & (gap <= SAME_COORDINATE))
        total += voter[..., 1:] * counts[..., None]
        weight += counts
    result = winner.copy()
    result[..., 1:] = np.rint(total / np.maximum(weight, 1e-9)[..., None])
    result[result[..., 0] == 0] = 0
    return result


def _without_holes(iuv: Iuv) -> Iuv:
    """Fill small holes, patches of background inside the person, with the nearest person pixel."""
    person = iuv[..., 0] > 0
    count, labels, statistics, _ = cv2.connectedComponentsWithStats((~person).astype(np.uint8), connectivity=4)
    small = [k for k in range(1, count) if statistics[k, cv2.CC_STAT_AREA] < HOLE * person.sum()]
    edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    holes = np.isin(labels, np.setdiff1d(small, edge)) & ~person
    if not holes.any():
        return iuv
    _, nearest = cv2.distanceTransformWithLabels(
        (~person).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros(int(nearest.max()) + 1, np.int64)
    by_label[nearest[person]] = np.flatnonzero(person)
    result = iuv.copy()
    result[holes] = iuv.reshape(-1, 3)[by_label[nearest[holes]]]
    return result
