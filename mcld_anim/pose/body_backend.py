"""DensePose by a fitted body, `--densepose body`: BlazePose's landmarks, the rigged body fitted to them, its IUV drawn.

Made for photographs and real footage. In a video one person is followed and all frames are fitted together, which keeps
the body steady; in a single picture everybody is fitted by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import reduce
from importlib.util import find_spec
from typing import BinaryIO

import numpy as np

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import fit_scenes
from mcld_anim.core.ahead import ahead
from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import MissingDependencyError, WeightsError
from mcld_anim.options.person import PersonChoice
from mcld_anim.pose.backends import EstimatedBody, PoseEstimate, estimate_of, largest_first
from mcld_anim.pose.blazepose import BlazePose, Region
from mcld_anim.pose.body_follower import BodyFollower
from mcld_anim.pose.followed_body import FollowedBody, drawn_iuv, hidden_sides
from mcld_anim.pose.hands import steady_fingers
from mcld_anim.pose.matte_alignment import Matte
from mcld_anim.video.cuts import with_cuts
from mcld_anim.video.read import VideoFrame
from mcld_anim.weights.published import BLAZEPOSE, published_model
from mcld_anim.weights.store import is_pulled, model_folder

FRAMES_AHEAD = 4
"""Frames that are decoded while the networks look at another."""


class BodyBackend:
    """The estimator `body`."""

    name = "body"

    def __init__(self, networks: BlazePose) -> None:
        self.networks = networks

    def estimate(self, pictures: Sequence[Picture]) -> list[list[PoseEstimate]]:
        """Everybody in each picture, the largest first; every picture by itself."""
        return [self._people(picture) for picture in pictures]

    def fit(
        self,
        frames: Iterable[VideoFrame],
        person: PersonChoice,
        masks: BinaryIO,
        on_look: Callable[[int], None] = lambda done: None,
    ) -> FollowedBody:
        """The body of one person in a video; `on_look` is told how many frames have been looked at.

        `masks` is an open file to which the masks are written, and from which the result reads them. Raises PoseError
        where no frame shows anybody, or nobody is where `person` says.
        """
        clip = BodyFollower(self.networks, person, masks)
        with closing(ahead(with_cuts(iter(frames)), FRAMES_AHEAD)) as decoded:
            for count, (frame, cut) in enumerate(decoded, 1):
                clip.add(frame, cut)
                on_look(count)
        return clip.fitted()

    def matte(self, picture: Picture, region: Region) -> Matte:
        """The matte of the person whom a region of a picture shows, as large as the picture."""
        return self.networks.look(picture, region).matte((picture.shape[0], picture.shape[1]))

    def _people(self, picture: Picture) -> list[PoseEstimate]:
        size = picture.shape[0], picture.shape[1]
        looks = self.networks.find(picture)
        mattes, found = [look.matte(size) for look in looks], []
        for index, look in enumerate(looks):
            seen = look.landmarks(size)
            fingers = self.networks.hands.bends(picture, look.xy, look.visibility)[None]
            motion = replace(fit_scenes(seen, [slice(0, 1)]), fingers=steady_fingers(fingers, [slice(0, 1)]))
            (hidden,), painter = hidden_sides(seen), BodyPainter(motion.shape)
            iuv = drawn_iuv(painter, motion, 0, hidden, seen.xy[0], look.region, look.mask)
            estimate = estimate_of(iuv, look.presence)
            if estimate is not None:
                others = reduce(np.maximum, [*mattes[:index], *mattes[index + 1 :]], np.zeros_like(mattes[index]))
                found.append(replace(estimate, body=EstimatedBody(motion, hidden, mattes[index], others)))
        return largest_first(found)


def load_body_backend() -> BodyBackend:
    """The estimator with the pulled networks."""
    if not is_pulled(published_model(BLAZEPOSE)):
        raise WeightsError(
            f"--densepose body needs BlazePose's networks: run `mcld-anim models pull {BLAZEPOSE}` (43 MB)"
        )
    if find_spec("ai_edge_litert") is None:  # imported when the networks are first called
        raise MissingDependencyError("--densepose body needs ai-edge-litert: install mcld-anim again")
    return BodyBackend(BlazePose(model_folder(BLAZEPOSE)))
