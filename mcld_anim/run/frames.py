"""The frames of a result, in order: synthesised in batches, composited over their background, and measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mcld_anim.body.clip import ClipFrame, clip_frames, with_links
from mcld_anim.core.ahead import ahead
from mcld_anim.core.arrays import Box, Iuv, Picture
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.metrics.stability import StabilityMeter
from mcld_anim.report.faces import FaceMeter
from mcld_anim.report.frames import FrameRow, frame_row
from mcld_anim.report.side_by_side import side_by_side
from mcld_anim.run.border import BEGINNING, Border
from mcld_anim.run.clip import Clip
from mcld_anim.run.compiling import compile_steps
from mcld_anim.run.compositor import Compositor, compositor
from mcld_anim.run.identity_guard import IdentityGuard, tried_again
from mcld_anim.sampling.photo_pixels import PhotoPixels
from mcld_anim.source.face import Face

if TYPE_CHECKING:
    from mcld_anim.sampling.frame_maker import FrameMaker

FRAMES_STAGE, SYNTHESIS_STAGE = "frames", "synthesis"


@dataclass(frozen=True, eq=False)
class Frame:
    """One finished frame of a result."""

    picture: np.ndarray
    """The frame of the video, uint8 (H, W, 3) RGB; (H, W, 4) RGBA with `background="transparent"`."""
    row: FrameRow
    """Its row of the report."""
    iuv: Iuv
    """Its pose."""
    shown: Picture
    """The person's crop for display, with transparency as a checkerboard."""
    face: Face | None
    """The face in `shown`; None if none was found or looked for."""

    @property
    def box(self) -> Box | None:
        """The face's box in `shown`."""
        return None if self.face is None else self.face.box


def make_frames(
    clip: Clip,
    folder: Path,
    start: Border = BEGINNING,
    end: int | None = None,
    on_border: Callable[[Callable[[], Border]], None] | None = None,
    tells_counts: bool = True,
    overlapped: bool = False,
) -> Generator[Frame]:
    """The frames from `start` on in order, up to before `end` (None: all); a batch is synthesised when its first frame
    is requested. `folder` is for working files.

    After each batch `on_border(border)` is called; `border()` is what another call, in another process too, needs as
    its `start` to make exactly the frames that this one would make from there. So ranges that meet at borders are one
    clip, frame by frame, as long as `end` is a multiple of the batch size. Without a border, see `first_needed`.
    `tells_counts`: emit the events of `emit_counts` at the end. `overlapped`: threads draw the poses of the next batch,
    and synthesise it where `Clip.synthesises_ahead`, while the frames of this one are finished and read.
    """
    stages, total, first = clip.stages, len(clip.driving), start.index
    end, before = total if end is None else min(end, total), min(first, 1)
    finishing = _Finishing(clip, start)
    frames = clip_frames(clip.scene.poses(folder, stages, first - before), first - before)
    for last in islice(frames, before):
        finishing.look_back(last)
    stages.progress(FRAMES_STAGE, first, total)
    with ExitStack() as stack, _share_of_synthesis(stages):
        if overlapped:
            if clip.looks_back:
                frames = with_links(frames)
            frames = stack.enter_context(closing(ahead(frames, clip.options.batch_size)))
        batches = _synthesised(clip, finishing.maker, islice(frames, max(0, end - first)))
        if overlapped and clip.synthesises_ahead:
            batches = stack.enter_context(closing(ahead(batches, 1)))
        for batch in batches:
            for place, frame in enumerate(batch.frames):
                yield finishing.finish(place, frame)
            if on_border is not None:
                on_border(partial(finishing.border, batch.carried))
            stages.progress(FRAMES_STAGE, finishing.index, total)
    if tells_counts:
        emit_counts(clip, [finishing.border({})])


@dataclass(frozen=True, eq=False)
class _Batch:
    """Synthesised frames, and what `FrameMaker.carried` was after them."""

    frames: list[ClipFrame]
    carried: Mapping[str, np.ndarray]


def _synthesised(clip: Clip, maker: FrameMaker | PhotoPixels, frames: Iterator[ClipFrame]) -> Generator[_Batch]:
    """The frames with their pictures, in batches, which become smaller where memory is short."""
    size, waiting, to_compile = clip.options.batch_size, list[ClipFrame](), clip.options.compile
    while True:
        waiting += islice(frames, max(0, size - len(waiting)))
        if not waiting:
            return
        batch = waiting[:size]
        if to_compile:
            compile_steps(maker, size, clip.stages)
            to_compile = False
        try:
            with clip.stages.timed(SYNTHESIS_STAGE):
                made = maker.make(batch)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            size = len(batch) // 2
            clip.stages.emit(batch_halved(len(batch), size))
            torch.cuda.empty_cache()  # does nothing without CUDA
            continue
        waiting = waiting[size:]
        yield _Batch([frame.showing(picture) for frame, picture in zip(batch, made, strict=True)], maker.carried())


@contextmanager
def _share_of_synthesis(stages: Stages) -> Iterator[None]:
    """Find `Stages.synthesis_share` of the block."""
    began, before = time.perf_counter(), stages.seconds.get(SYNTHESIS_STAGE, 0.0)
    try:
        yield
    finally:
        spent = stages.seconds.get(SYNTHESIS_STAGE, 0.0) - before
        stages.synthesis_share = round(spent / (time.perf_counter() - began), 3)


def batch_halved(tried: int, size: int) -> Event:
    """That the device's memory does not hold so many frames at a time."""
    message = f"the device has no memory for {tried} frames at a time: going on with {size}"
    return Event("batch_halved", f"{message}; --batch-size {size} begins so")


def emit_counts(clip: Clip, ends: Sequence[Border]) -> None:
    """Report, at the end of a clip, the frames that were made again and the poses that were repaired, as counted at the
    ends of its ranges."""
    options, stages, total = clip.options, clip.stages, len(clip.driving)
    below, helped, repaired = (sum(getattr(end, count) for end in ends) for count in ("below", "helped", "repaired"))
    again = tried_again(below, helped, options.min_face_similarity or 0.0, options.retries)
    if again is not None:
        stages.emit(again)
    if repaired:
        message = f"the poses of {repaired} of {total} frames were repaired from their neighbours"
        stages.emit(Event("poses_repaired", message))


def first_needed(clip: Clip, index: int) -> int:
    """The frame from which `make_frames(clip, folder, Border(first_needed(clip, index)))` makes frame `index` and those
    after it exactly; the frames before it are not exact, and are to be dropped.

    Without blending (where no network makes the frames there is none) and without a matte that is one batch earlier;
    else the last cut, over which nothing is carried, or the beginning. It is a multiple of the batch size.
    """
    size = clip.options.batch_size
    if not clip.looks_back:
        return max(0, (index - 1) // size * size)
    cuts = [place for place, cut in enumerate(clip.driving.cuts[: index + 1]) if cut]
    return max(cuts, default=0) // size * size


class _Finishing:
    """From a synthesised picture to a finished frame, in order, each batch right after its synthesis."""

    def __init__(self, clip: Clip, start: Border) -> None:
        options = clip.options
        self._clip, self._meter = clip, FaceMeter(clip.models.face_backend, clip.photo.faced.face)
        self.maker = clip.maker()
        self.maker.carry(start.blending)
        self._guard = IdentityGuard(self.maker, self._meter, options.min_face_similarity, options.retries)
        self._guard.below, self._guard.helped = start.below, start.helped
        self._compositor: Compositor = compositor(clip.options, clip.scene, clip.stages, start.index)
        self._compositor.carry(start.matte)
        self._stability = StabilityMeter()
        self._repaired, self._shown, self.index = start.repaired, start.shown, start.index

    def look_back(self, last: ClipFrame) -> None:
        """Measure the next frame against the last one before the start."""
        if self._shown is not None:
            self._stability.add(last.showing(self._shown))

    def border(self, blending: Mapping[str, np.ndarray]) -> Border:
        """The border after the last frame; `blending`: what the maker carried over it."""
        guard, matte = self._guard, self._compositor.carried()
        return Border(self.index, self._shown, blending, matte, guard.below, guard.helped, self._repaired)

    def finish(self, place: int, frame: ClipFrame) -> Frame:
        """The frame at `place` of the last batch."""
        clip, stages, pose = self._clip, self._clip.stages, frame.pose
        with stages.timed("identity guard"):
            kept = self._guard.keep(place, frame)
        with stages.timed("background"):
            made = self._compositor.finish(frame.showing(kept.picture))
        with stages.timed("face similarity"):
            face, similarity = self._meter.measure(made.shown, frame.iuv)
        with stages.timed("stability"):
            change = self._stability.add(frame.showing(made.shown))
        self._repaired += pose.status in ("replaced", "filled")
        self._shown, self.index = made.shown, frame.index + 1
        time = clip.driving.time(frame.index)
        row = replace(
            frame_row(frame.index, time, pose.person_found, face, similarity, change),
            pose=pose.status,
            cut=pose.cut,
            tries=len(kept.similarities),
            tried_similarities=kept.described,
        )
        picture = made.picture
        if clip.options.side_by_side:
            picture = side_by_side(clip.scene.picture, frame.iuv, made.shown)
        return Frame(picture, row, frame.iuv, made.shown, face)
