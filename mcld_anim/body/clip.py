"""The frames of a clip in their order: each with its pose, its picture once there is one, and its link to the frame
before.

Everything that looks one frame back (blending, matte, stability) reads the link, so that where two frames show the
same surface is found once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from mcld_anim.body.correspondence import Correspondence, correspond, correspond_bodies
from mcld_anim.body.draw import DrawnBody
from mcld_anim.core.arrays import Iuv, Picture

PoseStatus = Literal["seen", "held", "replaced", "filled"]
"""Origin of a frame's pose. "held": the person was not found and a neighbour's pose stands in; "replaced": an outlier,
the pose before stands in; "filled": partly repaired from the neighbours."""


@dataclass(frozen=True, eq=False)
class FramePose:
    """The pose of one frame of a clip."""

    iuv: Iuv
    person_found: bool = True
    status: PoseStatus = "seen"
    cut: bool = False
    """Whether the video cuts to another scene here."""
    drawn: DrawnBody | None = None
    """The body whose drawing `iuv` is; None if it comes from elsewhere."""


@dataclass(frozen=True, eq=False)
class FrameLink:
    """A frame's poses now and one frame ago, in one scene."""

    iuv: Iuv
    before: Iuv
    bodies: tuple[DrawnBody, DrawnBody] | None = None
    """The drawings of one body, now and before; None if the poses come from elsewhere."""
    known: Correspondence | None = None
    """The correspondence, if it was found already."""

    @cached_property
    def correspondence(self) -> Correspondence:
        """Where each pixel was one frame ago; found when it is first asked for."""
        if self.known is not None:
            return self.known
        return correspond(self.iuv, self.before) if self.bodies is None else correspond_bodies(*self.bodies)


@dataclass(frozen=True, eq=False)
class ClipFrame:
    """One frame of a clip."""

    index: int  # in the clip, from 0
    pose: FramePose
    link: FrameLink | None = None
    """To the frame before; None for the first frame and after a cut."""
    picture: Picture | None = None
    """As large as the IUV; None until it has been made."""

    @property
    def iuv(self) -> Iuv:
        """The pose itself."""
        return self.pose.iuv

    def showing(self, picture: Picture) -> ClipFrame:
        """The same frame with a picture; the link is shared, its correspondence too."""
        return replace(self, picture=picture)


def clip_frames(poses: Iterable[FramePose], first: int = 0) -> Iterator[ClipFrame]:
    """The frames of a clip from its poses (IUV of one size); the first has the index `first`."""
    before: FramePose | None = None
    for index, pose in enumerate(poses, first):
        yield ClipFrame(index, pose, None if before is None or pose.cut else _link(pose, before))
        before = pose


def with_links(frames: Iterable[ClipFrame]) -> Iterator[ClipFrame]:
    """The same frames, where each pixel was one frame ago found beforehand: for a thread that works ahead."""
    for frame in frames:
        if frame.link is not None:
            _ = frame.link.correspondence
        yield frame


def _link(pose: FramePose, before: FramePose) -> FrameLink:
    bodies = None if pose.drawn is None or before.drawn is None else (pose.drawn, before.drawn)
    return FrameLink(pose.iuv, before.iuv, bodies)
