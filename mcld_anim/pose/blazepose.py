"""BlazePose: landmarks of people in photographs and real footage (Bazarevsky et al. 2020, arXiv 2006.10204).

A detector finds people in the whole picture; landmark networks look at one
person in a rotated square region of it. Axes of world landmarks: x to the picture's right, y away from the camera, z
up, metres from the middle of the hips.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from mcld_anim.body.fit import ClipLandmarks
from mcld_anim.core.arrays import AnySizePicture, Picture
from mcld_anim.pose.hands import HandLandmarks
from mcld_anim.pose.matte_alignment import PERSON, Matte
from mcld_anim.pose.squares import Square, cut, tiles, whole
from mcld_anim.pose.tflite import TfliteNetwork

LANDMARKS = 33
"""Landmarks of the body, in MediaPipe's order; the networks add six for tracking."""
LIMBS = (11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""Shoulders, elbows, wrists, hips, knees and ankles."""
MIRRORED = (0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(k + 1 if k % 2 else k - 1 for k in range(11, 33)), *range(33, 39))
"""Index of each landmark's partner in the mirror; the six for tracking keep their places."""

DETECTOR_SIDE, CROP_SIDE = 224, 256
"""Side of the networks' square inputs, in pixels."""
LEAST_SCORE = 0.5
"""Score of a detection, and presence of a person in a region, from which it counts."""
REGION_SCALE = 1.25
"""Side of the region, in diameters of the circle around the body."""
CERTAIN_SCORE = 0.9
"""Presence of a person from which a new one counts; a person who is followed counts from `LEAST_SCORE`."""
LEAST_VISIBILITY = 0.6
"""Mean visibility, 0..1, of the limbs from which somebody who is whole in the picture is a person."""
PART_OF_ANOTHER = 0.5
"""Share of a person's pixels that lie on a larger person's from which it is a part of that one."""
SAME_PERSON = 0.3
"""Distance between two people's hips, in diameters of the smaller circle around a body, below which they are one."""
SETTLING_LOOKS = 5
"""Looks at most after a detection, which places small people roughly."""
SETTLED = 0.12
"""Change of place (in sides of the region) and of size (in logarithms) up to which a region has settled."""
TURNS = (0.35, -0.35, 0.7, -0.7, 1.2, -1.2)
"""Angles, in radians, by which somebody may have turned since the frame before."""
AGREEMENT = 0.06
"""Median distance of the limbs' landmarks between two looks, as a fraction of the person's height, up to which they
agree. The full network takes left for right in some side views; the heavy network hardly ever does."""
SIDES_APART, SIDES_NEARER = 0.03, 0.5
"""Median distance of the limbs' landmarks from those one frame ago, as a fraction of the person's height, from which
left and right may have been exchanged, and the share of it that must be left once they are exchanged back."""
MOST_THREADS = 4
"""Threads of a network; more hardly speed it up."""
HEAVY_DEPTH = 0.15
"""Weight of the heavy network's world landmarks; a look of the full network, whose depth is better, weighs 1."""


@dataclass(frozen=True, eq=False)
class Region:
    """The square around one person, turned so that the person stands upright in it."""

    centre: Float[np.ndarray, " 2"]  # x, y in pixels from the picture's upper left corner: the middle of the hips
    side: float  # pixels
    angle: float  # radians, clockwise in the picture

    @classmethod
    def around(cls, centre: np.ndarray, rim: np.ndarray) -> Region:
        """From the middle of the hips and a point on the circle around the body, above the head."""
        x, y = rim - centre
        return cls(np.asarray(centre, np.float64), 2 * REGION_SCALE * math.hypot(x, y), math.atan2(y, x) + math.pi / 2)

    def to_crop(self) -> Float[np.ndarray, "2 3"]:
        """The affine map from places in the picture to places in the crop, in pixels from the upper left corner."""
        scale, c, s = CROP_SIDE / self.side, math.cos(self.angle), math.sin(self.angle)
        turn = scale * np.array([[c, s], [-s, c]])
        return np.concatenate([turn, (CROP_SIDE / 2 - turn @ self.centre)[:, None]], 1)

    def matte(self, mask: UInt8[np.ndarray, "256 256"], size: tuple[int, int], scale: float = 1.0) -> Matte:
        """A mask of the crop in a picture of `size` (height, width) that is `scale` times as large as the region's."""
        back = between_centres(scale * cv2.invertAffineTransform(self.to_crop()))
        return np.asarray(cv2.warpAffine(mask, back, (size[1], size[0]), flags=cv2.INTER_LINEAR))


@dataclass(frozen=True, eq=False)
class BodyLook:
    """What the landmark networks say of one person."""

    xy: Float[np.ndarray, "33 2"]  # pixels from the picture's upper left corner
    visibility: Float[np.ndarray, " 33"]  # 0..1
    world: Float[np.ndarray, "33 3"]  # metres
    presence: float  # 0..1, that a person is in the region
    mask: UInt8[np.ndarray, "256 256"]  # share of the person in each pixel of the crop, 0..255
    region: Region  # of the crop
    following: Region  # where to look in the next frame
    gain: Float[np.ndarray, "33 6"] | None = None  # what more looks changed of `values`; None if there were none

    @property
    def values(self) -> Float[np.ndarray, "33 6"]:
        """Of each landmark x, y, visibility and place in the world."""
        return np.concatenate([self.xy, self.visibility[:, None], self.world], 1)

    def moved(self, before: Float[np.ndarray, "33 2"]) -> float:
        """Median distance of the limbs' landmarks from an earlier look's, as a fraction of the person's height."""
        return _apart(self.xy, before) / max(float(np.ptp(self.xy[:, 1])), 1.0)

    def continuing(self, before: Float[np.ndarray, "33 2"]) -> BodyLook:
        """The look with the sides of the landmarks `before` it, one frame ago in the same picture.

        In side views the networks may take left for right. Nobody turns around from one frame to the next, so a look
        whose limbs are much nearer with their sides exchanged has them exchanged.
        """
        if not sides_exchanged(self.xy, before, float(np.ptp(self.xy[:, 1]))):
            return self
        order = list(MIRRORED[:LANDMARKS])
        gain = None if self.gain is None else self.gain[order]
        return replace(self, xy=self.xy[order], visibility=self.visibility[order], world=self.world[order], gain=gain)

    def landmarks(self, size: tuple[int, int]) -> ClipLandmarks:
        """The landmarks as those of a clip of one picture of `size` (height, width)."""
        return ClipLandmarks(self.xy[None], self.visibility[None], self.world[None], np.ones(1, bool), size)

    def matte(self, size: tuple[int, int]) -> Matte:
        """The mask in a picture of `size` (height, width)."""
        return self.region.matte(self.mask, size)


class BlazePose:
    """Detector and landmark networks; holds no state that one call leaves for the next."""

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        """`folder` holds pose_detection, pose_landmark_heavy, pose_landmark_full, hand_landmark_full, each .tflite.

        `threads` of each network, which change no result; None: as many as there are cores, up to `MOST_THREADS`.
        """
        threads = threads or min(MOST_THREADS, os.cpu_count() or 1)
        names = ("detection", "landmark_heavy", "landmark_full")
        self._detector, self._heavy, self._full = (
            TfliteNetwork(folder / f"pose_{name}.tflite", threads) for name in names
        )
        self.hands = HandLandmarks(folder, threads)

    def find(self, picture: Picture, small: bool = True) -> list[BodyLook]:
        """Everybody found in a picture (H, W, 3), the largest first: detected in the whole picture and, for people who
        are `small` in it, in overlapping tiles; then looked at until the region settles."""
        found: list[BodyLook] = []
        for squares in ([whole(picture)], tiles(picture) if small else []):
            for region in self._detect(picture, squares):
                if any(_same(region, other.following) for other in found):
                    continue
                look = self._settled(picture, region)
                if look is not None and not any(_same(look.following, other.following) for other in found):
                    found.append(look)
        size = picture.shape[0], picture.shape[1]
        people: list[BodyLook] = []
        masks: list[Bool[np.ndarray, "height width"]] = []  # of `people`
        for look in sorted(found, key=lambda look: -look.following.side):
            mask = look.matte(size) > PERSON
            inside = [np.count_nonzero(mask & other) for other in masks]
            if max(inside, default=0) < PART_OF_ANOTHER * np.count_nonzero(mask):
                people.append(look)
                masks.append(mask)
        return people

    def turned(self, picture: Picture, region: Region) -> Region | None:
        """The region of the person who was in `region` a frame ago and has turned too far, as in a somersault. None
        where nobody is certain to be."""
        best, found = CERTAIN_SCORE, None
        for turn in TURNS:
            presence, once = self._glance(picture, replace(region, angle=region.angle + turn))
            if presence > CERTAIN_SCORE:
                presence, twice = self._glance(picture, once)
                score = presence * math.cos(twice.angle - once.angle)  # who is seen right stands upright in it
                if score > best:
                    best, found = score, twice
        return found

    def _glance(self, picture: Picture, region: Region) -> tuple[float, Region]:
        """How certainly somebody is in a region, and the region that follows from it."""
        glance = _Look.read(self._heavy(_cropped(picture, region)))
        xy = _to_picture(glance.xy, region)
        return glance.presence, Region.around(xy[LANDMARKS], xy[LANDMARKS + 1])

    def _settled(self, picture: Picture, region: Region) -> BodyLook | None:
        """The look at a person whose region was only detected; None where nobody is."""
        for _ in range(SETTLING_LOOKS):
            before, (presence, region) = region, self._glance(picture, region)
            if presence > CERTAIN_SCORE and _close(before, region):
                look = self.look(picture, region)
                seen = look.presence > CERTAIN_SCORE and _is_seen(look, (picture.shape[0], picture.shape[1]))
                return look if seen else None
        return None

    def _detect(self, picture: Picture, squares: Sequence[Square]) -> list[Region]:
        """Regions of people whom the detector sees in squares of a picture, the largest first."""
        points, weights = [np.zeros((0, 2, 2))], [np.zeros(0)]
        for square in squares:
            numbers, logits = self._detector(cut(picture, square, DETECTOR_SIDE).astype(np.float32) / 127.5 - 1)
            score = _sigmoid(logits.reshape(-1))
            likely = np.flatnonzero(score > LEAST_SCORE)
            places = numbers.reshape(len(score), 6, 2)[likely, 2:4] + _anchors()[likely, None] * DETECTOR_SIDE
            points.append(places * square[2] / DETECTOR_SIDE + square[:2])
            weights.append(score[likely])
        return _people(np.concatenate(points), np.concatenate(weights))

    def look(self, picture: Picture, region: Region, enough: Callable[[BodyLook], bool] | None = None) -> BodyLook:
        """The person in a region: by the heavy network, and unless that look is `enough`, by the same at the crop's
        mirror image and by the full network at both.

        The heavy network's look at the crop itself decides which side is left. Another look counts where it agrees.
        2D and mask are the heavy network's, depth is mostly the full network's, if it looks.
        """
        crop = _cropped(picture, region)
        first = _Look.read(self._heavy(crop))
        look = first.of_body(region)
        if enough is not None and enough(look):
            return look
        mirrored = np.ascontiguousarray(crop[:, ::-1])
        back = _Look.read(self._heavy(mirrored)).mirrored()
        full = _Look.read(self._full(crop)), _Look.read(self._full(mirrored)).mirrored()
        better = _joined((first, back), full).of_body(region)
        return replace(better, gain=better.values - look.values)


@dataclass(frozen=True, eq=False)
class _Look:
    """What one landmark network says of a crop."""

    xy: np.ndarray  # (39, 2) pixels from the crop's upper left corner
    visibility: np.ndarray  # (39,)
    world: np.ndarray  # (39, 3) metres: right, down, away
    presence: float
    mask: np.ndarray  # (256, 256), 0..1

    @classmethod
    def read(cls, outputs: list[np.ndarray]) -> _Look:
        by_size = {output.size: output for output in outputs}
        points = by_size[(LANDMARKS + 6) * 5].reshape(-1, 5)
        mask = _sigmoid(by_size[CROP_SIDE**2].reshape(CROP_SIDE, CROP_SIDE))
        world = by_size[(LANDMARKS + 6) * 3].reshape(-1, 3)
        return cls(points[:, :2], _sigmoid(points[:, 3]), world, float(by_size[1].reshape(-1)[0]), mask)

    def mirrored(self) -> _Look:
        """The same as seen without the mirror."""
        order = list(MIRRORED)
        xy = self.xy[order] * [-1, 1] + [CROP_SIDE, 0]
        return _Look(xy, self.visibility[order], self.world[order] * [-1, 1, 1], self.presence, self.mask[:, ::-1])

    def of_body(self, region: Region) -> BodyLook:
        """The same in the picture, of whose `region` the crop is."""
        xy, world = _to_picture(self.xy, region), self.world[:LANDMARKS]
        c, s = math.cos(region.angle), math.sin(region.angle)
        right, down = c * world[:, 0] - s * world[:, 1], s * world[:, 0] + c * world[:, 1]
        return BodyLook(
            xy[:LANDMARKS],
            self.visibility[:LANDMARKS],
            np.stack([right, world[:, 2], -down], 1),
            self.presence,
            np.rint(self.mask * 255).astype(np.uint8),
            region,
            Region.around(xy[LANDMARKS], xy[LANDMARKS + 1]),
        )


def _joined(heavy: tuple[_Look, _Look], full: tuple[_Look, _Look]) -> _Look:
    """The first of the heavy network's looks, improved by those of all others that agree with it."""
    first, looks = heavy[0], [*heavy, *full]
    height = max(float(np.ptp(first.xy[:LANDMARKS, 1])), 1.0)
    agrees = np.array([float(_apart(look.xy, first.xy) < AGREEMENT * height) for look in looks])
    share = agrees[:2] / agrees[:2].sum()
    return _Look(
        _mean([look.xy for look in heavy], share),
        _mean([look.visibility for look in heavy], share),
        _mean([look.world for look in looks], np.append(HEAVY_DEPTH * share, agrees[2:])),
        first.presence,
        _mean([look.mask for look in heavy], share),
    )


@cache
def _anchors() -> Float[np.ndarray, "anchors 2"]:
    """Centres of the detector's anchors as shares of its input: 2, 2 and 6 in each cell of grids of 28, 14 and 7."""
    centres = []
    for cells, count in ((28, 2), (14, 2), (7, 6)):
        rows, columns = np.mgrid[:cells, :cells]
        grid = (np.stack([columns, rows], -1).reshape(-1, 2) + 0.5) / cells
        centres.append(np.repeat(grid, count, axis=0))
    return np.concatenate(centres)


def sides_exchanged(xy: Float[np.ndarray, "33 2"], before: Float[np.ndarray, "33 2"], height: float) -> bool:
    """Whether left and right of a person `height` pixels tall have changed places since the frame before."""
    apart, exchanged = (_apart(one, before) for one in (xy, xy[list(MIRRORED[:LANDMARKS])]))
    return apart >= SIDES_APART * height and exchanged <= SIDES_NEARER * apart


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Median distance of the limbs' landmarks, in pixels."""
    return float(np.median(np.linalg.norm((one - other)[list(LIMBS)], axis=1)))


def _same(one: Region, other: Region) -> bool:
    """Whether two regions are one person's."""
    return bool(np.linalg.norm(one.centre - other.centre) < SAME_PERSON * min(one.side, other.side) / REGION_SCALE)


def _is_seen(look: BodyLook, size: tuple[int, int]) -> bool:
    """Whether the limbs of a person who is whole in a picture of `size` (height, width) are visible.

    In trees and walls that pass for people they are not. In portraits arms may be crossed."""
    xy = look.xy[list(LIMBS)]
    inside = ((xy >= 0) & (xy < [size[1], size[0]])).all(1)
    return bool(not inside.all() or look.visibility[list(LIMBS)].mean() >= LEAST_VISIBILITY)


def _close(one: Region, other: Region) -> bool:
    """Whether a region stayed where it was."""
    moved = float(np.linalg.norm(one.centre - other.centre)) / one.side
    return moved < SETTLED and abs(math.log(one.side / other.side)) < SETTLED


def _people(points: np.ndarray, weight: np.ndarray) -> list[Region]:
    """Regions from detections' hips and rims (n, 2, 2): those of one person are averaged by their scores."""
    regions: list[Region] = []
    left = np.ones(len(points), bool)
    sizes = np.linalg.norm(points[:, 1] - points[:, 0], axis=1) if len(points) else np.zeros(0)
    for best in np.argsort(-weight, kind="stable"):
        if not left[best]:
            continue
        apart = np.linalg.norm(points[:, 0] - points[best, 0], axis=1)
        mine = left & (apart < SAME_PERSON * 2 * sizes[best])
        left &= ~mine
        share = weight[mine] / weight[mine].sum()
        hips, rim = (points[mine] * share[:, None, None]).sum(0)
        regions.append(Region.around(hips, rim))
    return sorted(regions, key=lambda region: -region.side)


def _cropped(picture: Picture, region: Region) -> Float[np.ndarray, "256 256 3"]:
    """The region as the landmark networks take it, 0..1; what lies outside the picture is black."""
    coarse = region.side / CROP_SIDE
    finer, matrix = (2 if coarse > 1 else 1), region.to_crop()
    if coarse >= 4:
        picture, matrix = _shrunk(picture, region, int(coarse / 2), matrix)
    side = finer * CROP_SIDE
    made = cv2.warpAffine(picture, between_centres(finer * matrix), (side, side), flags=cv2.INTER_LINEAR)
    if finer > 1:  # shrunk by area, so that nothing aliases
        made = cv2.resize(made, (CROP_SIDE, CROP_SIDE), None, 0, 0, cv2.INTER_AREA)
    return made.astype(np.float32) / 255


def _shrunk(
    picture: AnySizePicture, region: Region, times: int, matrix: np.ndarray
) -> tuple[AnySizePicture, np.ndarray]:
    """The part of a picture around a region, `times` smaller, and the affine `matrix` (2, 3) for it."""
    reach = region.side / math.sqrt(2)
    low = (region.centre - reach).clip(0, picture.shape[1::-1]).astype(int) // times * times
    high = np.ceil(region.centre + reach).clip(low, picture.shape[1::-1]).astype(int)
    width, height = (high - low) // times
    part = picture[low[1] : low[1] + times * height, low[0] : low[0] + times * width]
    moved = np.concatenate([matrix[:, :2] * times, (matrix[:, :2] @ low + matrix[:, 2])[:, None]], 1)
    if not part.size:  # beyond the picture everything is black
        return np.zeros((1, 1, 3), np.uint8), moved
    return np.asarray(cv2.resize(part, (int(width), int(height)), None, 0, 0, cv2.INTER_AREA)), moved


def between_centres(matrix: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """An affine map of places for OpenCV, which counts from the centre of the first pixel instead of its corner."""
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2].sum(1) / 2 - 0.5
    return moved


def _to_picture(points: np.ndarray, region: Region) -> np.ndarray:
    """Points (n, 2) of the crop in the picture."""
    back = cv2.invertAffineTransform(region.to_crop())
    return np.asarray(points @ back[:, :2].T + back[:, 2])


def _mean(values: Sequence[np.ndarray], weight: np.ndarray) -> np.ndarray:
    return np.average(values, axis=0, weights=weight)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -80, 80))), np.float32)
