"""Thumbnails of the frames worth a look: faces most and least similar to the source's, and the largest changes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from mcld_anim.core.arrays import AnySizePicture, Box, Picture
from mcld_anim.report.frames import FrameRow
from mcld_anim.source.face import Face
from mcld_anim.video.framing import SteadyCrop, apply_picture, resize_picture

KEPT = 6
"""Thumbnails of each kind."""
FACE_SIDE = 128
"""Side of a face's thumbnail, in pixels."""
FRAME_SIDE = 192
"""Longer side of a whole frame's thumbnail, in pixels."""
FACE_MARGIN = 0.05
"""Margin around a face, as a fraction of its box's longer side."""
JPEG_QUALITY = 85


@dataclass(frozen=True)
class Thumbnail:
    """One frame's thumbnail."""

    index: int
    value: float  # face similarity or texel change
    jpeg: bytes


class Board:
    """Keeps the frames with the highest rank, at least `gap` frames apart, because neighbours look the same."""

    def __init__(self, gap: int) -> None:
        self._gap = gap
        self._kept: list[tuple[float, Thumbnail]] = []

    def wants(self, index: int, rank: float) -> bool:
        """Whether a frame of this rank would be kept."""
        near = [other for other, kept in self._kept if abs(kept.index - index) <= self._gap]
        if near:
            return rank > max(near)
        return len(self._kept) < KEPT or rank > min(other for other, _ in self._kept)

    def add(self, rank: float, thumbnail: Thumbnail) -> None:
        """Keep a wanted frame."""
        kept = [one for one in self._kept if abs(one[1].index - thumbnail.index) > self._gap]
        self._kept = sorted([*kept, (rank, thumbnail)], key=lambda one: -one[0])[:KEPT]

    def thumbnails(self) -> list[Thumbnail]:
        """The kept thumbnails, the highest rank first."""
        return [thumbnail for _, thumbnail in self._kept]


class Thumbnails:
    """Collects thumbnails while a video is made, at most `KEPT` of each kind."""

    def __init__(self, frames: int, source: Picture, face: Face | None, seen: AnySizePicture | None = None) -> None:
        """`source`: the photo; `face`: the face found in the picture `seen`, None: in the photo itself."""
        gap = max(1, frames // (8 * KEPT))
        self.source = to_jpeg(fit(source, 640))
        self.source_face = None if face is None else to_jpeg(face_picture(source if seen is None else seen, face.box))
        self._best, self._worst, self._changes = Board(gap), Board(gap), Board(gap)

    def add(self, row: FrameRow, picture: Picture, box: Box | None) -> None:
        """Add the next frame with its row of the report and its face's box."""
        similarity, change = row.face_similarity, row.stability
        if similarity is not None and box is not None:
            for board, rank in ((self._best, similarity), (self._worst, -similarity)):
                if board.wants(row.index, rank):
                    board.add(rank, Thumbnail(row.index, similarity, to_jpeg(face_picture(picture, box))))
        if change is not None and self._changes.wants(row.index, change):
            self._changes.add(change, Thumbnail(row.index, change, to_jpeg(fit(picture, FRAME_SIDE))))

    def best(self) -> list[Thumbnail]:
        """Faces most similar to the source's, the best first."""
        return self._best.thumbnails()

    def worst(self) -> list[Thumbnail]:
        """Faces least similar to the source's, the worst first."""
        return self._worst.thumbnails()

    def changes(self) -> list[Thumbnail]:
        """Frames with the largest texel change, the largest first."""
        return self._changes.thumbnails()


def face_picture(picture: AnySizePicture, box: Box) -> UInt8[np.ndarray, "128 128 3"]:
    """A square around a face, (128, 128, 3)."""
    x0, y0, x1, y1 = box
    side = max(2.0, (1 + 2 * FACE_MARGIN) * max(x1 - x0, y1 - y0))
    crop = SteadyCrop(round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2), round(side), round(side))
    return apply_picture(picture, crop, (FACE_SIDE, FACE_SIDE))


def fit(picture: Picture, longest: int) -> AnySizePicture:
    """A picture whose longer side is at most `longest` pixels."""
    scale = longest / max(picture.shape[:2])
    if scale >= 1:
        return picture
    return resize_picture(picture, (max(1, round(picture.shape[0] * scale)), max(1, round(picture.shape[1] * scale))))


def to_jpeg(picture: Picture) -> bytes:
    """The picture as a JPEG file."""
    done, content = cv2.imencode(
        ".jpg", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    assert done  # a uint8 picture can always be encoded
    return content.tobytes()
