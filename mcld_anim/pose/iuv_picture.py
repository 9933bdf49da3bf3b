"""One IUV: the box of its person, and its PNG picture, whose red, green, blue are V, U, I."""

from __future__ import annotations

import cv2
import numpy as np

from mcld_anim.core.arrays import PART_COUNT, Box, Iuv
from mcld_anim.core.errors import PoseError

MOST_IUV_PIXELS = 40_000_000
"""Of one frame; an 8K frame has 33 million. Checked in the header, before a frame is decoded."""


def iuv_box(iuv: Iuv) -> Box | None:
    """The smallest box around the person of an IUV; None without a person."""
    inside = iuv[..., 0] > 0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def encode_iuv(iuv: Iuv) -> bytes:
    """One PNG file; OpenCV takes I, U, V as blue, green, red."""
    done, content = cv2.imencode(".png", np.ascontiguousarray(iuv), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise PoseError(f"an IUV of {iuv.shape} cannot be written as PNG")
    return content.tobytes()


def decode_iuv(content: bytes, where: str) -> Iuv:
    """The IUV of one PNG file; refuses what is damaged, too large, or an ordinary picture."""
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[12:16] != b"IHDR" or len(content) < 33:
        raise PoseError(f"{where} is not a PNG picture: IUV is read from PNG, a folder of PNGs or a .zip archive")
    width, height = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    depth, colour = content[24], content[25]
    if width * height > MOST_IUV_PIXELS or not width or not height:
        most = MOST_IUV_PIXELS // 10**6
        raise PoseError(f"{where} has {width}x{height} pixels, but 1 to {most} million can be read: scale it down")
    if (depth, colour) != (8, 2):
        raise PoseError(f"{where} is not an 8-bit RGB picture: red, green, blue must hold V, U and the part")
    try:
        iuv = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        iuv = None
    if iuv is None:
        raise PoseError(f"{where} is damaged: write it again with densepose")
    if iuv[..., 0].max() > PART_COUNT:
        raise PoseError(
            f"{where} is no IUV: its blue plane reaches {iuv[..., 0].max()}, parts are 0..{PART_COUNT}; "
            "for a photo, run densepose on it first"
        )
    return iuv
