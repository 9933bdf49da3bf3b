"""The poses of one person in a driving video, one per frame, on disk, so memory does not grow with the video."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mcld_anim.core.arrays import Iuv
from mcld_anim.core.errors import PoseError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.options.person import LARGEST, PersonChoice
from mcld_anim.pose.backends import PoseBackend, PoseEstimate
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.pose.iuv_file import IuvSequence, IuvWriter, iuv_writer, read_iuv_sequence
from mcld_anim.pose.track import PersonTracker
from mcld_anim.video.cuts import with_cuts
from mcld_anim.video.read import VideoFrame

PoseSequence = IuvSequence
"""An IUV sequence in which frames without the person hold another frame's pose, marked in `person_found`."""

FrameCallback = Callable[[int], None]
Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class FollowedFrame:
    """One frame and the followed person in it."""

    frame: VideoFrame
    person: PoseEstimate | None  # None where the person is hidden
    cut: bool  # a new scene begins here


def follow_person(
    frames: Iterable[VideoFrame], backend: PoseBackend, tracker: PersonTracker, batch_size: int
) -> Iterator[FollowedFrame]:
    """The person followed by `tracker`, frame by frame, whatever the batch size."""
    for batch in _batches(with_cuts(frames), batch_size):
        found = backend.estimate([frame.picture for frame, _ in batch])
        for (frame, cut), people in zip(batch, found, strict=True):
            yield FollowedFrame(frame, tracker.follow(frame.index, frame.picture, people, cut), cut)


def estimate_sequence(
    frames: Iterable[VideoFrame],
    backend: PoseBackend,
    path: str | os.PathLike[str],
    fps: Fraction | None = None,
    batch_size: int = 4,
    meta: Mapping[str, Any] | None = None,
    on_frame: FrameCallback = lambda done: None,
    overwrite: bool = False,
    person: PersonChoice = LARGEST,
    on_event: EventSink = warn,
) -> PoseSequence:
    """Estimate the pose of one person in every frame and write it to `path` (a `.zip` archive or a folder).

    A frame without the person holds the last pose, or the next one at the beginning of a scene. `on_frame` is called
    with the number of frames done. Raises PoseError, and writes nothing, if no frame shows a person.
    """
    source = iter(frames)
    first = next(source, None)
    if first is None:
        raise PoseError("the video has no frame in the chosen range: check --start and --end")
    described = {"densepose": backend.name, "person": str(person), **(meta or {})}
    if isinstance(backend, BodyBackend):
        with tempfile.TemporaryFile() as masks, iuv_writer(path, fps, first.time, described, overwrite) as writer:
            body = backend.fit(_chain(first, source), person, masks, on_frame)
            for made in body.frames():
                writer.write(made.iuv, made.found, made.cut)
            _told(body.events, writer, on_event)
        return read_iuv_sequence(Path(path))
    tracker = PersonTracker(person)
    with iuv_writer(path, fps, first.time, described, overwrite) as writer:
        held: Iuv | None = None
        waiting: list[bool] = []  # cut marks of the frames of this scene before its first person
        waits, done = True, 0
        for one in follow_person(_chain(first, source), backend, tracker, batch_size):
            if one.cut:
                waits = True
                if held is not None:  # the scene that ends showed nobody
                    waiting = _written(writer, held, waiting)
            if one.person is not None:
                held, waits = one.person.iuv, False
                waiting = _written(writer, held, waiting)
                writer.write(held, cut=one.cut)
            elif waits or held is None:
                waiting.append(one.cut)
            else:
                writer.write(held, person_found=False, cut=one.cut)
            done += 1
            on_frame(done)
        if held is None:
            raise PoseError(
                f"no person was found in any of {done} frames (densepose: {backend.name}): "
                "use a video that shows one person in full, or another --densepose"
            )
        _written(writer, held, waiting)
        _told(tracker.events(), writer, on_event)
    return read_iuv_sequence(Path(path))


def _told(events: Iterable[Event], writer: IuvWriter, on_event: EventSink) -> None:
    """Report events, and keep them with the poses."""
    for event in events:
        writer.events.append(event)
        on_event(event)


def _written(writer: IuvWriter, held: Iuv, waiting: list[bool]) -> list[bool]:
    """Write the waiting frames with a held pose; nothing waits after that."""
    for cut in waiting:
        writer.write(held, person_found=False, cut=cut)
    return []


def _chain(first: Item, rest: Iterator[Item]) -> Iterator[Item]:
    yield first
    yield from rest


def _batches(items: Iterator[Item], size: int) -> Iterator[list[Item]]:
    while batch := list(islice(items, size)):
        yield batch
