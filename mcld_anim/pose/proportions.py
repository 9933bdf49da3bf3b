"""A body's proportions, measured in IUV alone.

Lengths are distances between joints, which follow from the whole surface around them (`mcld_anim.pose.body_fit`); they
are foreshortened. Widths are measured in the picture perpendicular to a segment, where there is no foreshortening. A
photo is one frame; a clip is measured over all frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mcld_anim.body.surface import SEGMENTS, rest_body
from mcld_anim.core.arrays import Iuv
from mcld_anim.pose.body_fit import BodyFit, SegmentMaps, fit_body

LENGTH_SEGMENTS = {
    "trunk": ("hips", "chest"),
    "head": ("head",),
    "leg": ("upper leg", "lower leg"),
    "arm": ("upper arm", "lower arm"),
}
"""Segments of each length. Thigh and shin are measured as one, since knees bend. Of the arm only the upper half is
measured, because elbows are rarely straight in pictures."""
WIDTH_SEGMENTS = {
    "hips": ("hips",),
    "chest": ("chest",),
    "head": ("head",),
    "thigh": ("upper leg",),
    "shin": ("lower leg",),
    "arm": ("upper arm", "lower arm"),
}
"""Segments of each measured width. Hands and feet are not measured; they scale with the body's height."""
STANDING = ("trunk", "head", "leg")
"""Lengths that add up to a person's height."""
LONGER = 0.75
"""Quantile over a clip's frames that gives a length: short values are foreshortened, the longest are enlarged by
perspective. On rendered dances this one agrees best with the dancer's photo, within 1 percent (arms 3)."""
LEAST_SEEN = 0.2
"""Least visible pixels of a measured segment, as a fraction of those in a front view of the mean body."""
LEAST_UPRIGHT = 0.75
"""Least cosine of the angle between a measured limb and the picture plane."""
BORDER = 0.02
"""Margin kept free around a body that is enlarged, as a fraction of the frame's longer side."""

Segments = Float[np.ndarray, " segments"]


@dataclass(frozen=True)
class Proportions:
    """Pixels per metre of the mean body, by name; unseen ones are left out."""

    lengths: dict[str, float]  # of `LENGTH_SEGMENTS`
    widths: dict[str, float]  # of `WIDTH_SEGMENTS`

    @property
    def unseen(self) -> tuple[str, ...]:
        """Names of the missing lengths and widths, for messages."""
        long = [f"{name} length" for name in LENGTH_SEGMENTS if name not in self.lengths]
        return (*long, *(f"{name} width" for name in WIDTH_SEGMENTS if name not in self.widths))


@dataclass(frozen=True)
class DrivingBody:
    """The body in a driving sequence, measured over all frames."""

    proportions: Proportions
    room: float  # largest factor by which the person can grow from the ground and still fit in all frames


def measure_photo(iuv: Iuv) -> Proportions:
    """The proportions of the person in one picture; empty without a person."""
    return measure_clip([iuv]).proportions


def measure_clip(frames: Iterable[Iuv]) -> DrivingBody:
    """The proportions of the person in a sequence (IUV of one size), in one pass that keeps ten numbers per frame."""
    lengths: dict[str, list[float]] = {name: [] for name in LENGTH_SEGMENTS}
    widths: dict[str, list[float]] = {name: [] for name in WIDTH_SEGMENTS}
    room = float("inf")
    for iuv in frames:
        fit = fit_body(iuv)
        if fit is None:
            continue
        for name, value in _lengths(fit).items():
            lengths[name].append(value)
        for name, value in _widths(fit).items():
            widths[name].append(value)
        room = min(room, _room(fit, (iuv.shape[0], iuv.shape[1])))
    known = {name: float(np.quantile(row, LONGER)) for name, row in lengths.items() if row}
    return DrivingBody(Proportions(known, {name: float(np.median(row)) for name, row in widths.items() if row}), room)


def height_ratio(source: Proportions, driving: Proportions) -> float | None:
    """Height of the source over that of the driving person, from the parts visible in both; None if there are none."""
    both = [name for name in STANDING if name in source.lengths and name in driving.lengths]
    if not both:
        return None
    rest = {name: _rest_length(name) for name in both}
    return sum(source.lengths[name] * rest[name] for name in both) / sum(
        driving.lengths[name] * rest[name] for name in both
    )


def segment_sizes(maps: SegmentMaps) -> tuple[Segments, Segments, Segments]:
    """Each segment in pixels per metre: foreshortened length, width perpendicular to it, depth visible along it."""
    axes, linear = rest_body().axes, maps[:, :, :3]
    seen = np.einsum("sij,sj->si", linear, axes)
    length = np.linalg.norm(seen, axis=1)
    along = seen / np.maximum(length, 1e-9)[:, None]
    aside = np.stack([-along[:, 1], along[:, 0]], 1)
    across = linear - seen[:, :, None] * axes[:, None, :]
    width = np.linalg.norm(np.einsum("si,sij->sj", aside, across), axis=1)
    depth = np.linalg.norm(np.einsum("si,sij->sj", along, across), axis=1)
    return length, width, depth


def _lengths(fit: BodyFit) -> dict[str, float]:
    """The lengths visible in one frame; of two sides the longer, which is less foreshortened."""
    body, seen = rest_body(), _measurable(fit)
    joints = np.einsum("sij,sj->si", fit.maps, np.concatenate([body.joints, np.ones((len(SEGMENTS), 1))], 1))
    found = {}
    if seen[_HIPS] and seen[_CHEST]:
        found["trunk"] = float(np.linalg.norm(joints[_THIGHS].mean(0) - joints[_HEAD])) / _rest_length("trunk")
    if seen[_HEAD]:
        found["head"] = float(segment_sizes(fit.maps)[0][_HEAD])
    for name, chains in (("leg", _LEGS), ("arm", _ARMS)):
        whole = [chain for chain in chains if seen[chain[:-1]].all()]
        long = [float(np.linalg.norm(np.diff(joints[chain], axis=0), axis=1).sum()) for chain in whole]
        if long:
            found[name] = max(long) / _rest_length(name)
    return found


def _widths(fit: BodyFit) -> dict[str, float]:
    """The widths visible in one frame; of two sides the wider, which is less occluded."""
    seen, (_, width, _) = _measurable(fit), segment_sizes(fit.maps)
    found = {}
    for name, segments in WIDTH_SEGMENTS.items():
        sides = [k for k, segment in enumerate(SEGMENTS) if segment.name == segments[0] and seen[k]]
        if sides:
            found[name] = float(width[sides].max())
    return found


def _measurable(fit: BodyFit) -> np.ndarray:
    """(S,) bool: enough of the segment is visible, and it does not point at the camera.

    A segment's depth is visible along its axis: width times the sine of the angle between axis and picture.
    """
    _, width, depth = segment_sizes(fit.maps)
    pixels = rest_body().areas * float(np.median(width)) ** 2
    upright = depth <= width * np.sqrt(1 - LEAST_UPRIGHT**2)
    return (fit.seen >= LEAST_SEEN * pixels) & (upright | ~_IS_LIMB)


def _rest_length(name: str) -> float:
    """One of the lengths on the mean body, in metres."""
    joints = rest_body().joints
    if name == "trunk":
        return float(np.linalg.norm(joints[_THIGHS].mean(0) - joints[_HEAD]))
    measured = {"head": [_HEAD], "leg": _LEGS[0][:-1], "arm": _ARMS[0][:-1]}[name]
    return float(rest_body().lengths[measured].sum())


def _room(fit: BodyFit, size: tuple[int, int]) -> float:
    """The largest factor by which this frame's person can grow from the ground below the hips.

    An edge of the frame that cuts the person off sets no limit.
    """
    width, border = size[1], BORDER * max(size)
    hips = float(fit.maps[_HIPS, 0] @ np.append(rest_body().joints[_HIPS], 1.0))
    ground, top = fit.rows.max() + 1.0, float(fit.rows.min())
    left, right = float(fit.columns.min()), fit.columns.max() + 1.0
    rooms = [(ground - border) / (ground - top)] if top > 0 else []
    if 0 < left < hips:
        rooms.append((hips - border) / (hips - left))
    if hips < right < width:
        rooms.append((width - border - hips) / (right - hips))
    return max(1.0, min(rooms, default=1.0))


def _index(name: str, side: str = "") -> int:
    return next(k for k, segment in enumerate(SEGMENTS) if (segment.name, segment.side) == (name, side))


_HIPS, _CHEST, _HEAD = (_index(name) for name in ("hips", "chest", "head"))
_THIGHS = [_index("upper leg", side) for side in "LR"]
_LEGS = [[_index(name, side) for name in ("upper leg", "lower leg", "foot")] for side in "LR"]
_ARMS = [[_index(name, side) for name in ("upper arm", "lower arm")] for side in "LR"]
_IS_LIMB = np.array([segment.side != "" for segment in SEGMENTS])
