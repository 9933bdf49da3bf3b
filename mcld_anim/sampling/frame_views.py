"""What the networks see of a frame, and the way back from their picture to the frame.

The embedded and the published model make square frames. A clip of crops is such a frame. In a clip that takes place in
the source's photo, the networks see a square window of it; what they make of the person is put back into the photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import cv2
import numpy as np
from torch import Tensor

from mcld_anim.body.clip import ClipFrame, FrameLink, FramePose
from mcld_anim.body.correspondence import Correspondence
from mcld_anim.body.draw import DrawnBody
from mcld_anim.core.arrays import AnySizePicture, Picture
from mcld_anim.model.warped_source import WarpedSources
from mcld_anim.pose.condition import Validity, warped_source
from mcld_anim.source.fitted_photo import FittedPhoto
from mcld_anim.video.framing import SteadyCrop, apply_iuv, apply_picture, cut_out, resize_picture

if TYPE_CHECKING:
    from mcld_anim.model.appearance import SourceAppearance

REACH = 2
"""Pixels beyond the drawn body to which the networks' picture counts: hair and cloth do not end at the mesh."""


@dataclass(frozen=True, eq=False)
class FrameView:
    """One frame for the networks, at the size of their frames or a multiple of it."""

    frame: ClipFrame
    warped: Picture | None  # the warped source, see `pose.condition`; None for models without it
    validity: Validity | None
    drawn: DrawnBody | None = None  # in the whole frame, where that is the source's photo

    def shrunk(self, size: tuple[int, int]) -> FrameView:
        """The view at `size` (height, width): IUV by the nearest pixel, colours by area. It has no link."""
        iuv = self.frame.iuv
        height, width = iuv.shape[:2]
        if (height, width) == size:
            return self
        small = ClipFrame(self.frame.index, FramePose(apply_iuv(iuv, SteadyCrop(0, 0, width, height), size)))
        if self.warped is None or self.validity is None:
            return FrameView(small, None, None)
        validity = cv2.resize(self.validity, (size[1], size[0]), interpolation=cv2.INTER_AREA)
        return FrameView(small, resize_picture(self.warped, size), validity)


def stacked(views: Sequence[FrameView], like: Tensor) -> WarpedSources | None:
    """The warped sources of views, on the device and in the dtype of `like`; None for models without it."""
    pictures = [view.warped for view in views if view.warped is not None]
    validity = [view.validity for view in views if view.validity is not None]
    return WarpedSources.stack(pictures, validity, [view.frame.iuv for view in views], like) if pictures else None


@runtime_checkable
class FrameViews(Protocol):
    """The views of one clip's frames."""

    def view(self, frame: ClipFrame) -> FrameView:
        """What the networks see of a frame."""

    def finished(self, view: FrameView, made: AnySizePicture) -> Picture:
        """The frame's picture from what the networks made of its view, at the view's size."""


@dataclass(frozen=True, eq=False)
class CropViews:
    """Frames that are the networks' frames; the warped source comes from the source's atlas."""

    source: SourceAppearance
    with_warp: bool  # whether the model takes the warped source

    def view(self, frame: ClipFrame) -> FrameView:
        """The frame itself."""
        source = self.source.at(frame.index)
        if not self.with_warp:
            return FrameView(frame, None, None)
        return FrameView(frame, *warped_source(source.atlas, source.valid, frame.iuv, source.background))

    def finished(self, view: FrameView, made: AnySizePicture) -> Picture:
        """The networks' picture."""
        return made


@dataclass(frozen=True, eq=False)
class PhotoViews:
    """Frames in the source's photo, which the warped source is sampled from; around the person the photo stays."""

    photo: FittedPhoto
    window: SteadyCrop  # square, its side a multiple of the networks' frames' or of their cells'

    def view(self, frame: ClipFrame) -> FrameView:
        """The window."""
        drawn = frame.pose.drawn
        assert drawn is not None  # frames of the photo are drawn from the fitted body
        layer, size = self.photo.at(frame.index).warp.layer(drawn), (self.window.h, self.window.w)
        warped = apply_picture(layer.before(self.photo.background), self.window, size)
        validity = 1 - cut_out(drawn.whole(1 - layer.validity), self.window)
        link = None if frame.link is None else _cut_link(frame.link, self.window)
        pose = FramePose(cut_out(frame.iuv, self.window), cut=frame.pose.cut)
        return FrameView(ClipFrame(frame.index, pose, link), warped, validity, drawn)

    def finished(self, view: FrameView, made: AnySizePicture) -> Picture:
        """The photo with the person that the networks made."""
        drawn = view.drawn
        assert drawn is not None
        near = cv2.dilate(drawn.person.astype(np.float32), np.ones((2 * REACH + 1, 2 * REACH + 1)))
        height, width = self.photo.size
        window = SteadyCrop(-self.window.x, -self.window.y, width, height)
        covered = cut_out(np.ones(made.shape[:2], np.float32), window)
        share = (cv2.GaussianBlur(near, (0, 0), REACH / 2) * covered)[..., None]
        return self.photo.with_front(cut_out(made, window) * share + self.photo.background * (1 - share))


def _cut_link(link: FrameLink, window: SteadyCrop) -> FrameLink:
    """The link of a window of the frame; there is no person outside the frame."""
    known = link.correspondence
    inside = Correspondence(cut_out(known.offset, window), cut_out(known.found, window))
    return FrameLink(cut_out(link.iuv, window), cut_out(link.before, window), known=inside)
