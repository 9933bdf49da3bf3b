"""The poses of a driving video, one per frame, on disk: memory does not grow with the video."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mcld_anim.errors import PoseError
from mcld_anim.pose.backends import PoseBackend
from mcld_anim.pose.iuv_file import IuvSequence, iuv_writer, read_iuv_sequence
from mcld_anim.video.read import VideoFrame

PoseSequence = IuvSequence
"""An IUV sequence in which frames without a person hold the last pose and are marked in `person_found`."""

FrameCallback = Callable[[int], None]
Item = TypeVar("Item")


def estimate_sequence(
    frames: Iterable[VideoFrame],
    backend: PoseBackend,
    path: str | os.PathLike[str],
    fps: Fraction | None = None,
    batch_size: int = 4,
    meta: Mapping[str, Any] | None = None,
    on_frame: FrameCallback = lambda done: None,
    overwrite: bool = False,
) -> PoseSequence:
    """Estimate the pose of every frame and write it to `path` (a `.zip` archive or a folder).

    A frame without a person holds the pose before it, or the first one that is found if there is none
    before it. `on_frame` is told how many frames are done. If no frame shows a person nothing is written:
    PoseError.
    """
    source = iter(frames)
    first = next(source, None)
    if first is None:
        raise PoseError("the video has no frame in the chosen range: check --start and --end")
    described = {"densepose": backend.name, **(meta or {})}
    with iuv_writer(path, fps, first.time, described, overwrite) as writer:
        waiting, done, held = 0, 0, None
        for batch in _batches(_chain(first, source), batch_size):
            for estimate in backend.estimate([frame.picture for frame in batch]):
                if estimate.found:
                    for _ in range(waiting):
                        writer.write(estimate.iuv, person_found=False)
                    waiting, held = 0, estimate.iuv
                    writer.write(estimate.iuv)
                elif held is not None:
                    writer.write(held, person_found=False)
                else:
                    waiting += 1
                done += 1
                on_frame(done)
        if held is None:
            raise PoseError(
                f"no person was found in any of {done} frames (densepose: {backend.name}): "
                "use a video that shows one person in full, or another --densepose"
            )
    return read_iuv_sequence(Path(path))


def person_boxes(sequence: PoseSequence) -> np.ndarray:
    """(n, 4) float64 x0, y0, x1, y1 of all frames in which a person was found, in their order."""
    boxes = [sequence.box(index) for index in range(len(sequence))]
    return np.array([box for box in boxes if box is not None], np.float64).reshape(-1, 4)


def _chain(first: Item, rest: Iterator[Item]) -> Iterator[Item]:
    yield first
    yield from rest


def _batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while batch := list(islice(items, size)):
        yield batch
