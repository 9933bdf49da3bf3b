"""Poses read from an IUV sequence (`mcld-anim densepose`) instead of estimated."""

from __future__ import annotations

import os
from collections.abc import Sequence

import cv2
import numpy as np

from mcld_anim.core.arrays import Box, Iuv, SizedIuv
from mcld_anim.core.errors import PoseError
from mcld_anim.pose.iuv_file import IuvSequence, read_iuv, read_iuv_sequence

ASPECT_TOLERANCE = 0.02
"""Largest relative difference of aspect ratios. IUV of another size is scaled; of another shape it is refused."""


class PrecomputedPoses:
    """A stored sequence with the length, indices and size of a video's frames."""

    def __init__(self, stored: IuvSequence, frames: Sequence[int], size: tuple[int, int] | None) -> None:
        self.stored, self.fps, self.meta = stored, stored.fps, stored.meta
        self.events = stored.events
        self._frames, self._size = list(frames), size
        self.person_found = stored.person_found[np.asarray(self._frames, int)]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Iuv:
        """Frame `index`, uint8 (H, W, 3) in the order I, U, V, at the size of the video's frames."""
        iuv = self.stored[self._frames[index]]
        return iuv if self._size is None else resize_iuv(iuv, self._size)

    def box(self, index: int) -> Box | None:
        """The box of the person in frame `index`; None if the frame holds the pose of another frame."""
        box = self.stored.box(self._frames[index])
        if box is None or self._size is None:
            return box
        height, width = self.stored[self._frames[index]].shape[:2]
        across, down = self._size[1] / width, self._size[0] / height
        return box[0] * across, box[1] * down, box[2] * across, box[3] * down


def precomputed_iuv(path: str | os.PathLike[str], size: tuple[int, int]) -> SizedIuv:
    """The IUV of a picture of `size` (height, width) from a file; the first frame of a sequence."""
    iuv = read_iuv(path)
    check_aspect(iuv, size, path)
    return resize_iuv(iuv, size)


def resize_iuv(iuv: Iuv, size: tuple[int, int]) -> SizedIuv:
    """`iuv` at `size` (height, width) by nearest neighbour, since labels must not be mixed."""
    if iuv.shape[:2] == size:
        return iuv
    return cv2.resize(iuv, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)


def check_aspect(iuv: Iuv, size: tuple[int, int], path: str | os.PathLike[str]) -> None:
    """Refuse IUV that cannot belong to a picture of `size` (height, width)."""
    height, width = iuv.shape[:2]
    if abs(np.log((width / height) / (size[1] / size[0]))) > ASPECT_TOLERANCE:
        raise PoseError(
            f"the IUV in {path} is {width}x{height}, the picture {size[1]}x{size[0]}: it belongs to another picture or "
            "video; give the IUV of this one"
        )


def precomputed_poses(
    path: str | os.PathLike[str], times: Sequence[float], size: tuple[int, int] | None = None
) -> PrecomputedPoses:
    """The stored poses at `times` (seconds of the driving video), for frames of `size` (height, width).

    A sequence with a frame rate is looked up by time; one without must have one pose per frame.
    """
    stored = read_iuv_sequence(path)
    if size is not None:
        check_aspect(stored[0], size, path)
    if stored.fps is None:
        if len(stored) != len(times):
            raise PoseError(
                f"{path} has {len(stored)} frames and no frame rate, but the chosen range of the video has "
                f"{len(times)}: write it with densepose, or choose its range with --start and --max-frames"
            )
        return PrecomputedPoses(stored, range(len(stored)), size)
    return PrecomputedPoses(stored, _nearest_frames(stored, times, path), size)


def _nearest_frames(stored: IuvSequence, times: Sequence[float], path: str | os.PathLike[str]) -> list[int]:
    fps = float(stored.fps or 1)
    frames = np.floor((np.asarray(times, np.float64) - stored.start) * fps + 0.5).astype(int)
    # One frame of tolerance at both ends, because frame times are rounded.
    if frames.min() < -1 or frames.max() > len(stored):
        end = stored.start + len(stored) / fps
        raise PoseError(
            f"{path} covers {stored.start:.2f} to {end:.2f} s of the video, but {min(times):.2f} to {max(times):.2f} s "
            "are needed: run densepose on that range, or choose the range it covers with --start and --end"
        )
    return frames.clip(0, len(stored) - 1).tolist()
