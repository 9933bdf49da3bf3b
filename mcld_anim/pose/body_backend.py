"""DensePose by a fitted body, `--densepose body`: BlazePose's landmarks, the rigged body fitted to them, its IUV drawn.

Made for photographs and real footage. In a video one person is followed and all frames are fitted together, which keeps
the body steady; in a single picture everybody is fitted by themselves.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import BinaryIO

import cv2
import numpy as np

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import BodyMotion, ClipLandmarks, fit_scenes
from mcld_anim.body.outline import mean_offsets
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import MissingDependencyError, PoseError, WeightsError
from mcld_anim.options.person import PersonChoice
from mcld_anim.pose.backends import EstimatedBody, PoseEstimate, estimate_of, largest_first
from mcld_anim.pose.blazepose import LEAST_SCORE, BlazePose, BodyLook, Region
from mcld_anim.pose.matte_alignment import PERSON, Matte, aligned
from mcld_anim.pose.precomputed import resize_iuv
from mcld_anim.pose.select import selected
from mcld_anim.video.cuts import with_cuts
from mcld_anim.video.read import VideoFrame
from mcld_anim.weights.published import published_model
from mcld_anim.weights.store import is_pulled, model_folder

MODEL = "blazepose"
"""Name in the table of weights."""
ELSEWHERE = 1.0
"""Distance from where a lost person was, in sides of the region, up to which somebody who is found is that person."""
PATIENCE = 15
"""Frames after which a lost person may be found anywhere."""
DRAWN_SIDE = 512
"""Longer side of the landmarks' box, in pixels, up to which a person is drawn at full size: a result's frame is no
larger."""
CLOTHED_FRAMES, CLOTHED_SIDE = 8, 256
"""Frames of a clip whose outlines say how far clothes and hair reach, and the side of a person in them, in pixels."""
HIDDEN = 0.5
"""Visibility, 0..1, of a wrist below which the arm of a portrait is not drawn: its place is only guessed."""


@dataclass(frozen=True, eq=False)
class BodyFrame:
    """The followed person in one frame of a clip."""

    iuv: Iuv
    found: bool  # False: a neighbour's pose is held
    cut: bool  # another scene begins here


@dataclass(frozen=True, eq=False)
class FollowedBody:
    """One person through a clip: the landmarks, and the body fitted to them.

    A frame without the person shows the nearest frame with the person. Masks lie in an open file.
    """

    seen: ClipLandmarks
    motion: BodyMotion
    hidden: Sequence[str]  # of each frame: sides ("L", "R") whose forearm and hand are not drawn
    cuts: Sequence[bool]  # where another scene begins
    crops: Sequence[tuple[Region, int, int]]  # of each frame: region, and start and length of its mask in the file
    masks: BinaryIO

    def __len__(self) -> int:
        return len(self.cuts)

    def region(self, index: int) -> Region:
        """The region of the frame that the landmark networks saw."""
        return self.crops[index][0]

    def matte(self, index: int) -> Matte:
        """The person's matte, as large as the frame."""
        return self.region(index).matte(self._mask(index), self.seen.size)

    def mesh_iuv(self, index: int) -> Iuv:
        """The IUV of the fitted mesh, before it is aligned to the matte."""
        return self._painter.iuv(self.motion, index, self.hidden[index])

    def frames(self) -> Iterator[BodyFrame]:
        """Every frame, its IUV aligned to the matte."""
        for index, cut in enumerate(self.cuts):
            hidden, xy, region = self.hidden[index], self.seen.xy[index], self.region(index)
            iuv = _drawn(self._painter, self.motion, index, hidden, xy, region, self._mask(index))
            yield BodyFrame(iuv, bool(self.seen.found[index]), cut)

    def _mask(self, index: int) -> np.ndarray:
        _, start, length = self.crops[index]
        self.masks.seek(start)
        return np.asarray(cv2.imdecode(np.frombuffer(self.masks.read(length), np.uint8), cv2.IMREAD_GRAYSCALE))

    @cached_property
    def _painter(self) -> BodyPainter:
        """Of the body in its clothes: some frames' mattes say how far hair and cloth reach."""
        naked, found = BodyPainter(self.motion.shape), np.flatnonzero(self.seen.found)
        spread = np.linspace(0, len(found) - 1, min(len(found), CLOTHED_FRAMES)).round().astype(int)
        frames: list[int] = found[spread].tolist()
        extent = max(float(np.ptp(self.seen.xy[index], axis=0).max()) for index in frames)
        scale = min(1.0, CLOTHED_SIDE / max(extent, 1.0))
        small = self.motion.scaled(scale)
        mattes = [self.region(index).matte(self._mask(index), small.size, scale) > PERSON for index in frames]
        return naked.bent(mean_offsets(naked, small, mattes, frames, [self.hidden[index] for index in frames]))


class BodyBackend:
    """The estimator `body`."""

    name = "body"

    def __init__(self, networks: BlazePose) -> None:
        self.networks = networks

    def estimate(self, pictures: Sequence[Picture]) -> list[list[PoseEstimate]]:
        """Everybody in each picture, the largest first; every picture by itself."""
        return [self._people(picture) for picture in pictures]

    def follow(
        self,
        frames: Iterable[VideoFrame],
        person: PersonChoice,
        on_look: Callable[[int], None] = lambda done: None,
    ) -> Iterator[BodyFrame]:
        """One person through a video, as `fit` sees them; the first frame comes after all have been looked at."""
        with tempfile.TemporaryFile() as masks:
            yield from self.fit(frames, person, masks, on_look).frames()

    def fit(
        self,
        frames: Iterable[VideoFrame],
        person: PersonChoice,
        masks: BinaryIO,
        on_look: Callable[[int], None] = lambda done: None,
    ) -> FollowedBody:
        """The body of one person in a video; `on_look` is told how many frames have been looked at.

        `masks` is an open file to which the masks are written. Raises PoseError where no frame shows anybody, or nobody
        is where `person` says.
        """
        clip = _Followed(self.networks, person, masks)
        for count, (frame, cut) in enumerate(with_cuts(iter(frames)), 1):
            clip.add(frame, cut)
            on_look(count)
        return clip.fitted()

    def matte(self, picture: Picture, region: Region) -> Matte:
        """The matte of the person whom a region of a picture shows, as large as the picture."""
        return self.networks.look(picture, region).matte((picture.shape[0], picture.shape[1]))

    def _people(self, picture: Picture) -> list[PoseEstimate]:
        size = picture.shape[0], picture.shape[1]
        found = []
        for look in self.networks.find(picture):
            seen = ClipLandmarks(look.xy[None], look.visibility[None], look.world[None], np.ones(1, bool), size)
            motion = fit_scenes(seen, [slice(0, 1)])
            (hidden,), painter = _hidden_sides(seen), BodyPainter(motion.shape)
            iuv = _drawn(painter, motion, 0, hidden, seen.xy[0], look.region, look.mask)
            estimate = estimate_of(iuv, look.presence)
            if estimate is not None:
                found.append(replace(estimate, body=EstimatedBody(motion, hidden, look.matte(size))))
        return largest_first(found)


def load_body_backend() -> BodyBackend:
    """The estimator with the pulled networks."""
    if not is_pulled(published_model(MODEL)):
        raise WeightsError(f"--densepose body needs BlazePose's networks: run `mcld-anim models pull {MODEL}` (37 MB)")
    try:
        return BodyBackend(BlazePose(model_folder(MODEL)))
    except ImportError as error:
        raise MissingDependencyError(
            f"--densepose body needs ai-edge-litert ({error}): install mcld-anim again"
        ) from error


class _Followed:
    """Looks at the frames of a clip one by one; keeps landmarks, and masks on disk."""

    def __init__(self, networks: BlazePose, person: PersonChoice, masks: BinaryIO) -> None:
        self._networks, self._person, self._masks = networks, person, masks
        self._looks: list[np.ndarray] = []  # (33, 6) float32: x, y, visibility, world
        self._crops: list[tuple[Region, int, int]] = []  # where in the file each mask lies
        self._found: list[bool] = []
        self._cuts: list[bool] = []
        self._region: Region | None = None
        self._lost = 0
        self._chosen = False
        self._size = (0, 0)

    def add(self, frame: VideoFrame, cut: bool) -> None:
        """Look at the next frame."""
        picture = frame.picture
        self._size = picture.shape[0], picture.shape[1]
        look = None
        if cut:
            self._region = None  # nobody is where they were in the scene before
        if self._region is not None and self._lost == 0:
            look = self._networks.look(picture, self._region).continuing(self._looks[-1][:, :2])
        if look is None or look.presence < LEAST_SCORE:
            look = self._found_again(picture, frame.index)
        self._found.append(look is not None)
        self._cuts.append(cut)
        self._lost = 0 if look is not None else self._lost + 1
        if look is None:
            return
        self._region = look.following
        self._looks.append(np.concatenate([look.xy, look.visibility[:, None], look.world], 1).astype(np.float32))
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
        source = _looks_shown(found, scenes)
        values = np.stack(self._looks)[source]
        seen = ClipLandmarks(values[..., :2], values[..., 2], values[..., 3:], found, self._size)
        motion = fit_scenes(seen, scenes)
        hidden = [sides for scene in scenes for sides in _hidden_sides(seen.part(scene))]
        return FollowedBody(seen, motion, hidden, self._cuts, [self._crops[look] for look in source], self._masks)

    def _found_again(self, picture: Picture, index: int) -> BodyLook | None:
        """The person in a frame where they are not followed from the frame before."""
        people = self._networks.find(picture)
        if not people:
            return None
        if not self._chosen:
            masks = [look.matte(self._size) for look in people]
            shown = [estimate_of(np.repeat((mask > PERSON)[..., None], 3, -1).astype(np.uint8), 1.0) for mask in masks]
            known = [(one, look) for one, look in zip(shown, people, strict=True) if one is not None]
            if not known:
                return None
            chosen = selected([one for one, _ in known], self._person, f"frame {index}")
            self._chosen = True
            return next(look for one, look in known if one is chosen)
        if self._region is None or self._lost >= PATIENCE:
            return people[0]
        last = self._region
        nearest = min(people, key=lambda look: float(np.linalg.norm(look.following.centre - last.centre)))
        near = np.linalg.norm(nearest.following.centre - last.centre) < ELSEWHERE * last.side
        return nearest if near else None


def _drawn(
    painter: BodyPainter,
    motion: BodyMotion,
    index: int,
    hidden: str,
    xy: np.ndarray,
    region: Region,
    mask: np.ndarray,
) -> Iuv:
    """The IUV of a frame without the arms of `hidden` sides, aligned to the matte.

    People whose landmarks `xy` span more than `DRAWN_SIDE` are drawn smaller and scaled up by the nearest pixel.
    """
    scale = min(1.0, DRAWN_SIDE / max(float(np.ptp(xy, axis=0).max()), 1.0))
    small = motion.scaled(scale)
    iuv = painter.iuv(small, index, hidden)
    return resize_iuv(aligned(iuv, region.matte(mask, small.size, scale)), motion.size)


def _hidden_sides(seen: ClipLandmarks) -> list[str]:
    """Of each frame of a scene: sides whose forearm and hand are not seen, where the picture ends above the knees."""
    portrait = np.all(seen.xy[:, [25, 26], 1] > seen.size[0], axis=1)
    hidden = []
    for index in range(len(portrait)):
        around = seen.visibility[max(0, index - 7) : index + 8]
        sides = [side for side, wrist in zip("LR", (15, 16), strict=True) if np.median(around[:, wrist]) < HIDDEN]
        hidden.append("".join(sides) if portrait[index] else "")
    return hidden


def _looks_shown(found: np.ndarray, scenes: Sequence[slice]) -> np.ndarray:
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


def scenes_between(cuts: Sequence[bool]) -> list[slice]:
    """The ranges of frames between cuts."""
    starts = [0, *(index for index, cut in enumerate(cuts) if cut and index)]
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(cuts)], strict=True)]
