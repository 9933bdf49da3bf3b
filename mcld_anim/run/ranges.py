"""One long clip made by several processes: split into ranges of frames, each made and kept by one, and joined.

The frames are those that one process makes. Frames depend on those before them by the blending and the matte, so ranges
begin at cuts, over which nothing is carried, or anywhere if there is neither.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from glob import escape
from itertools import pairwise

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.errors import UnfinishedError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.names import write_json
from mcld_anim.core.publishing import publish
from mcld_anim.core.stages import Progress, Stages, ignore_progress
from mcld_anim.core.tables import read_json
from mcld_anim.core.work_folder import ENDING, Work, remove_work, working_folder
from mcld_anim.options.run import RunOptions
from mcld_anim.run.attention import write_attention
from mcld_anim.run.border import Border
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import check_outputs, check_run, named_outputs
from mcld_anim.run.clip import Clip, open_clip
from mcld_anim.run.files import write_files
from mcld_anim.run.frame_log import FrameLog, KeptFrame
from mcld_anim.run.frame_range import FrameRange
from mcld_anim.run.frames import Frame, emit_counts, first_needed, make_frames
from mcld_anim.run.record import describe_events
from mcld_anim.run.rehearsed import rehearsed
from mcld_anim.run.request import request_of
from mcld_anim.run.result import Result
from mcld_anim.run.resume import identity_of
from mcld_anim.run.sound import chosen_sound

EVENTS = "events.json"
"""In a range's kept frames: what was told while they were made. It is written last, so the range is complete."""


def split(
    options: RunOptions,
    cache: RunCache,
    count: int,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
) -> tuple[FrameRange, ...]:
    """At most `count` ranges of about equal length, which are all frames of the clip; a single one, with an event, if
    its frames depend on each other. Inputs and outputs are checked, and the end of the run is rehearsed."""
    stages = Stages(progress, on_event)
    with rehearsed(options, cache, stages) as (clip, _, _):
        total, borders = len(clip.driving), possible_borders(clip)
    wanted = (total * number / count for number in range(1, count))
    chosen = {min(borders, key=lambda border: abs(border - ideal)) for ideal in wanted if borders}
    ends = [0, *sorted(chosen), total]
    if len(ends) == 2 and count > 1:
        why = "every frame is blended with the one before and there is no cut" if clip.blends else "it is too short"
        stages.emit(Event("not_split", f"{options.driving.name} is made by one worker: {why}"))
    return tuple(FrameRange(first, end) for first, end in pairwise(ends))


def possible_borders(clip: Clip) -> list[int]:
    """The frames at which a range may begin: multiples of the batch size from which frames are made exactly, if need be
    after the batch before, which is dropped."""
    size, found = clip.options.batch_size, []
    for index in range(size, len(clip.driving), size):
        needed = first_needed(clip, index)
        if needed and needed >= index - size:
            found.append(index)
    return found


def make_range(
    options: RunOptions,
    cache: RunCache,
    frames: FrameRange,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
) -> None:
    """Make and keep the frames of a range, going on where an earlier call was cut off."""
    stages, plan = Stages(progress, on_event), check_run(options)
    with working_folder(frames.outputs(named_outputs(options))) as work:
        clip = open_clip(plan, cache, Stages(progress, lambda event: None))  # told by `split` and by `join`
        clip = replace(clip, stages=stages)
        with _opened(clip, work, frames, cache.checksums) as log:
            stages.add(log.seconds)
            if log.start.index == frames.end and (work.kept / EVENTS).exists():
                return
            _make(clip, work, frames, log)
            write_json(work.kept / EVENTS, describe_events(stages))


def _make(clip: Clip, work: Work, frames: FrameRange, log: FrameLog) -> None:
    start = log.start
    if start.index == frames.first:
        start = Border(first_needed(clip, frames.first))
    before = start  # with the counts of dropped frames

    def commit(border: Callable[[], Border]) -> None:
        nonlocal before
        here = border()
        if here.index <= frames.first:
            before = here
        else:
            log.commit(here.without_counts(before), clip.stages.rounded_seconds())

    if log.start.index > frames.first:
        before = Border()
    with closing(make_frames(clip, work.new, start, frames.end, commit, tells_counts=False, overlapped=True)) as made:
        for frame in made:
            if frame.row.index >= frames.first:
                log.add(frame)


def join(
    options: RunOptions,
    cache: RunCache,
    ranges: tuple[FrameRange, ...],
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
) -> Result:
    """Publish the result of ranges that are all made. Raises UnfinishedError if one is not."""
    stages = Stages(progress, on_event)
    outputs, plan = check_outputs(options), check_run(options)
    sound = chosen_sound(plan)
    with working_folder(outputs) as work, ExitStack() as stack:
        clip = open_clip(plan, cache, stages)
        logs = []
        for frames in ranges:
            part = stack.enter_context(working_folder(frames.outputs(outputs)))
            logs.append(stack.enter_context(_opened(clip, part, frames, cache.checksums)))
            _take_in(logs[-1], part, frames, stages)
        emit_counts(clip, [log.start for log in logs])
        summary = write_files(clip, sound, _joined(logs), work, cache.checksums)
        made = (*write_attention(clip, work), *outputs.all)
        publish(work.folder, made, options.overwrite, request_of(options, cache.checksums), ends_run=True)
    parts = f".{escape(FrameRange(0, 0).outputs(outputs).result.stem.removesuffix('0-0'))}*{ENDING}"
    for folder in outputs.result.absolute().parent.glob(parts):  # other ranges of earlier calls too
        remove_work(folder)
    return Result(outputs, summary)


@contextmanager
def _opened(clip: Clip, work: Work, frames: FrameRange, checksums: Checksums) -> Iterator[FrameLog]:
    identity = identity_of(clip, checksums) | {"frames": f"{frames.first} to {frames.end}"}
    log = FrameLog(work.kept, identity, frames.first)
    try:
        yield log
    finally:
        log.close()


def _take_in(log: FrameLog, work: Work, frames: FrameRange, stages: Stages) -> None:
    """The events and seconds of a range that is made."""
    try:
        told = read_json(work.kept / EVENTS)
    except (OSError, ValueError):
        told = None
    if told is None or log.start.index != frames.end:
        raise UnfinishedError(f"the frames {frames.first} to {frames.end} are not all kept: run the same command again")
    for event in told:
        stages.emit(Event(event["kind"], event["message"]))
    stages.add(log.seconds)


def _joined(logs: list[FrameLog]) -> Generator[Frame | KeptFrame]:
    for log in logs:
        yield from log.frames()
