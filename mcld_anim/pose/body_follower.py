"""One person of a clip followed through its frames: BlazePose's regions from frame to frame, and a tracker over gaps.

While the landmark network sees somebody in the region that follows from the frame before, that is the person. At the
first frame, after a cut, where nobody is seen there any more, and where somebody else is, everybody in the frame is
looked for, and `PersonTracker` says who of them it is, by place and appearance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from typing import BinaryIO

import cv2
import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import FOCAL, BodyShape, ClipLandmarks, closed_form, fit_scenes
from mcld_anim.body.skeleton import SHAPES
from mcld_anim.core.errors import PoseError
from mcld_anim.options.person import PersonChoice
from mcld_anim.pose.backends import PoseEstimate, estimate_of
from mcld_anim.pose.blazepose import LANDMARKS, LEAST_SCORE, BlazePose, BodyLook, Region
from mcld_anim.pose.followed_body import FollowedBody, hidden_sides, scenes_between
from mcld_anim.pose.hands import steady_fingers
from mcld_anim.pose.matte_alignment import PERSON
from mcld_anim.pose.precomputed import resize_iuv
from mcld_anim.pose.track import PATIENCE, PersonTracker
from mcld_anim.video.read import VideoFrame

APPEARANCE_SIDE = 160
"""Longer side of a person whose appearance is measured, in pixels: it has a few colours a part."""
ELSEWHERE = 1.0
"""Distance from where a lost person was, in sides of the region, up to which somebody who is found may be them."""
APART = 0.2
"""Distance between the middles of two people's hips, in sides of the smaller region, from which they are two."""
CONFIRM_EVERY, FINGERS_EVERY = 8, 5
"""Frames from one look at the followed person's appearance to the next, and from one look at their fingers."""
THOROUGH_EVERY, STILL = 3, 0.03
"""Frames at most from one thorough look to the next, and the median way of the limbs since the last one, as a fraction
of the person's height, up to which a single look is enough."""
GAIN_SMOOTHING = 2.0
"""Standard deviation over which the gains of thorough looks are averaged, in frames."""


class BodyFollower:
    """Looks at the frames of a clip one by one; keeps landmarks, and masks on disk."""

    def __init__(self, networks: BlazePose, person: PersonChoice, masks: BinaryIO) -> None:
        self._networks, self._tracker, self._masks = networks, PersonTracker(person), masks
        self._looks: list[np.ndarray] = []  # (33, 6) float32: x, y, visibility, world
        self._gains: list[np.ndarray] = []  # of each look, NaN where there is none: see `BodyLook.gain`
        self._thorough: tuple[int, np.ndarray] | None = None  # the last frame with a gain, and its landmarks (33, 2)
        self._crops: list[tuple[Region, int, int]] = []  # where in the file each mask lies
        self._fingers: list[np.ndarray] = []  # of each frame, (2, 5): NaN where not looked at, or not seen
        self._found: list[bool] = []
        self._cuts: list[bool] = []
        self._last: Region | None = None  # where the person follows from the last look of this scene
        self._lost = 0  # frames since that look
        self._confirmed = 0  # the last frame in which the tracker saw them
        self._size = (0, 0)

    def add(self, frame: VideoFrame, cut: bool) -> None:
        """Look at the next frame."""
        self._size = frame.picture.shape[0], frame.picture.shape[1]
        look = None if cut else self._continued(frame)
        if look is None:
            look = self._found_again(frame, cut)
        self._found.append(look is not None)
        self._cuts.append(cut)
        self._lost = 0 if look is not None else self._lost + 1
        if look is not None or cut:
            self._last = None if look is None else look.following
        self._fingers.append(np.full((2, 5), np.nan, np.float32))
        if look is None:
            return
        if frame.index % FINGERS_EVERY == 0:
            self._fingers[-1] = self._networks.hands.bends(frame.picture, look.xy, look.visibility)
        self._looks.append(look.values.astype(np.float32))
        self._gains.append(np.full((LANDMARKS, 6), np.nan) if look.gain is None else look.gain)
        if look.gain is not None:
            self._thorough = frame.index, look.xy
        content = cv2.imencode(".png", look.mask)[1].tobytes()
        self._crops.append((look.region, self._masks.tell(), len(content)))
        self._masks.write(content)

    def fitted(self) -> FollowedBody:
        """The body fitted to the whole clip."""
        found = np.array(self._found)
        if not found.any():
            raise PoseError(
                f"no person was found in any of {len(found)} frames (densepose: body): use a video that shows a person"
            )
        scenes = scenes_between(self._cuts)
        source = looks_shown(found, scenes)
        values = self._completed(scenes)[source]
        seen = ClipLandmarks(values[..., :2], values[..., 2], values[..., 3:], found, self._size)
        motion = replace(fit_scenes(seen, scenes), fingers=steady_fingers(np.stack(self._fingers), scenes))
        hidden = [sides for scene in scenes for sides in hidden_sides(seen.part(scene))]
        crops = [self._crops[look] for look in source]
        return FollowedBody(seen, motion, hidden, self._cuts, self._tracker.events(), crops, self._masks)

    def _completed(self, scenes: Sequence[slice]) -> Float[np.ndarray, "looks 33 6"]:
        """All looks; those that were single gain what thorough ones of the frames around gained."""
        frames = np.flatnonzero(self._found)
        gains = np.full((len(self._found), LANDMARKS, 6), np.nan)
        gains[frames] = self._gains
        known = np.isfinite(gains[:, 0, 0])
        gains[~known] = 0
        for scene in scenes:
            total, weight = (
                gaussian_filter1d(one[scene], GAIN_SMOOTHING, axis=0, mode="constant")
                for one in (gains, known.astype(np.float64))
            )
            gains[scene] = total / (weight + 1e-6)[:, None, None]
        values, lacking = np.stack(self._looks), ~known[frames]
        values[lacking] += gains[frames][lacking]
        values[..., 2] = values[..., 2].clip(0, 1)
        return values

    def _continued(self, frame: VideoFrame) -> BodyLook | None:
        """The look at the region that follows from the frame before; None where it does not show the person."""
        if self._last is None or self._lost:
            return None
        look = self._networks.look(frame.picture, self._last, partial(self._is_enough, frame.index))
        turned = self._networks.turned(frame.picture, self._last) if look.presence < LEAST_SCORE else None
        if turned is not None:
            look = self._networks.look(frame.picture, turned)
        if look.presence < LEAST_SCORE:
            return None
        look = look.continuing(self._looks[-1][:, :2])
        if turned is None and frame.index - self._confirmed < CONFIRM_EVERY:
            return look
        self._confirmed = frame.index
        one = _drawn_estimate(look, self._size)
        if one is None or self._tracker.confirm(frame.index, frame.picture, one):
            return look
        if any(_touches(look.following, other.following) for other in self._networks.find(frame.picture)):
            return None
        # Nobody is near with whom they could have been exchanged
        self._tracker.confirm(frame.index, frame.picture, one, certain=True)
        return look

    def _is_enough(self, index: int, look: BodyLook) -> bool:
        """Whether a single look at frame `index` is: nobody is seen, or they hardly moved since a thorough look."""
        if look.presence < LEAST_SCORE:
            return True
        if self._thorough is None or index - self._thorough[0] >= THOROUGH_EVERY:
            return False
        return look.moved(self._thorough[1]) <= STILL

    def _found_again(self, frame: VideoFrame, cut: bool) -> BodyLook | None:
        """The person among everybody in a frame: the only one near the place where they were lost a moment ago, unless
        they look like somebody else, or the one of whom the tracker says so."""
        found = [(_drawn_estimate(look, self._size), look) for look in self._networks.find(frame.picture)]
        people = sorted(((one, look) for one, look in found if one is not None), key=lambda pair: -pair[0].area)
        self._confirmed = frame.index
        last = None if cut or self._lost >= PATIENCE else self._last
        if last is not None:
            near = [pair for pair in people if _apart(pair[1].following, last) < ELSEWHERE * last.side]
            if len(near) == 1 and self._tracker.confirm(frame.index, frame.picture, near[0][0]):
                return near[0][1]
        chosen = self._tracker.follow(frame.index, frame.picture, [one for one, _ in people], cut)
        return next((look for one, look in people if one is chosen), None)


def _apart(one: Region, other: Region) -> float:
    """Distance between the middles of the hips, in pixels."""
    return float(np.linalg.norm(one.centre - other.centre))


def _touches(one: Region, other: Region) -> bool:
    """Whether two regions are those of different people whose bodies may touch."""
    return APART * min(one.side, other.side) < _apart(one, other) < (one.side + other.side) / 2


def looks_shown(found: np.ndarray, scenes: Sequence[slice]) -> np.ndarray:
    """Of each frame, the number of the look that it shows: the nearest of its scene, where that has one."""
    looks = np.cumsum(found) - 1
    shown = np.zeros(len(found), int)
    for scene in scenes:
        numbers = np.arange(scene.start, scene.stop)
        mine = np.flatnonzero(found[scene]) + scene.start
        places = mine if len(mine) else np.flatnonzero(found)
        after = np.searchsorted(places, numbers).clip(0, len(places) - 1)
        before = (after - 1).clip(0)
        earlier = np.abs(numbers - places[before]) <= np.abs(places[after] - numbers)
        shown[scene] = looks[places[np.where(earlier, before, after)]]
    return shown


def _drawn_estimate(look: BodyLook, size: tuple[int, int]) -> PoseEstimate | None:
    """The person of a look, for the tracker: the mean body in its pose, inside the mask. None where nothing is shown.

    size: height and width of the picture.
    """
    painter = _mean_painter()
    scale = min(1.0, APPEARANCE_SIDE / max(float(np.ptp(look.xy, axis=0).max()), 1.0))
    small = closed_form(look.landmarks(size), painter.shape, FOCAL * max(size)).scaled(scale)
    iuv = painter.iuv(small, 0)
    iuv[look.region.matte(look.mask, small.size, scale) <= PERSON] = 0
    return estimate_of(resize_iuv(iuv, size), look.presence)


@cache
def _mean_painter() -> BodyPainter:
    return BodyPainter(BodyShape(np.zeros(SHAPES), 1.0))
