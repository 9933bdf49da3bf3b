"""From a stored frame to a picture: colours, rotation, mirroring and square pixels."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from jaxtyping import UInt8

from mcld_anim.core.arrays import AnySizePicture, Picture
from mcld_anim.video.container import pyav

if TYPE_CHECKING:
    from av.video.frame import VideoFrame as StoredFrame

HD_HEIGHT = 720
"""Rows from which a video without colour tags is BT.709 instead of BT.601, as players assume."""

UNSPECIFIED = 2
"""ITU-T H.273, MatrixCoefficients and ColourPrimaries: unspecified."""

HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""ITU-T H.273, TransferCharacteristics of high dynamic range."""


@dataclass(frozen=True)
class Upright:
    """The steps from a stored frame to an upright one: mirror left to right, rotate, scale."""

    mirrored: bool
    quarter_turns: int  # counter-clockwise, 0..3
    height: int  # after the rotation, in square pixels
    width: int

    def apply(self, stored: Picture) -> UInt8[np.ndarray, "{self.height} {self.width} 3"]:
        """Stored picture -> uint8 (height, width, 3) RGB, upright."""
        picture = stored[:, ::-1] if self.mirrored else stored
        return self.scale(np.rot90(picture, self.quarter_turns))

    def scale(self, turned: Picture) -> UInt8[np.ndarray, "{self.height} {self.width} 3"]:
        """The last step alone, for readers that rotate by themselves."""
        turned = np.ascontiguousarray(turned)
        if turned.shape[:2] == (self.height, self.width):
            return turned
        return cv2.resize(turned, (self.width, self.height), interpolation=cv2.INTER_CUBIC)


def fitted(picture: AnySizePicture, height: int, width: int) -> UInt8[np.ndarray, "{height} {width} 3"]:
    """A picture of any shape, not stretched, in the middle of a black one of (height, width)."""
    scale = min(height / picture.shape[0], width / picture.shape[1])
    rows, columns = max(1, round(picture.shape[0] * scale)), max(1, round(picture.shape[1] * scale))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    whole = np.zeros((height, width, 3), np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    whole[top : top + rows, left : left + columns] = cv2.resize(picture, (columns, rows), interpolation=interpolation)
    return whole


def upright_of(frame: StoredFrame, sample_aspect: Fraction) -> Upright:
    """The steps for frames like this one; `sample_aspect` is a stored pixel's width over its height."""
    mirrored, quarter_turns = orientation(_display_matrix(frame))
    height, width = frame.height, frame.width
    # The picture is only ever enlarged, so that no stored detail is lost
    if sample_aspect > 1:
        width = round(width * sample_aspect)
    elif sample_aspect < 1:
        height = round(height / sample_aspect)
    if quarter_turns % 2:
        height, width = width, height
    return Upright(mirrored, quarter_turns, height, width)


def orientation(matrix: tuple[float, float, float, float]) -> tuple[bool, int]:
    """Whether a display matrix (a, b, c, d) mirrors the picture, and the counter-clockwise quarter turns after that.

    The matrix maps a stored point (x, y), y downwards, to (a x + c y, b x + d y) (ISO/IEC 14496-12, 6.2.2). Other
    angles are rounded to the nearest quarter turn.
    """
    a, b, c, d = matrix
    mirrored = bool(a * d - b * c < 0)
    if mirrored:  # the matrix rotates after mirroring, so undo the mirror: x -> -x
        a, b = -a, -b
    # (1, 0) is mapped to (a, b); with y downwards a counter-clockwise turn makes b negative
    return mirrored, round(np.degrees(np.arctan2(-b, a)) / 90) % 4


def to_rgb(frame: StoredFrame) -> Picture:
    """Stored frame -> uint8 (H, W, 3) RGB as stored, neither rotated nor scaled.

    The conversion is swscale's default path, which decord uses too, so both readers return the same pixels.
    """
    colorspaces = pyav().video.reformatter.Colorspace
    source = None  # as the frame is tagged
    if frame.colorspace == UNSPECIFIED:
        source = colorspaces.ITU709 if frame.height >= HD_HEIGHT else colorspaces.ITU601
    # One thread, so that rows are converted the same way on every machine
    return frame.reformat(format="rgb24", src_colorspace=source, threads=1).to_ndarray()


def _display_matrix(frame: StoredFrame) -> tuple[float, float, float, float]:
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
        if a * d - b * c != 0:
            return a, b, c, d
    return 1, 0, 0, 1
