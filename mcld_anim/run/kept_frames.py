"""What a run leaves if it fails after its frames were made: their video, and a sentence on how to go on."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from mcld_anim.core.errors import McldAnimError, UnfinishedError, VideoError
from mcld_anim.core.outputs import OutputFiles
from mcld_anim.run.frames import Clip
from mcld_anim.run.writer import pictures_of
from mcld_anim.video.container import open_video
from mcld_anim.video.decode import DecodeLog, decoded_frames


@contextmanager
def frames_kept(clip: Clip, outputs: OutputFiles, work: Path) -> Iterator[None]:
    """If the block fails after a frame was written in `work`, keep the video beside the outputs: UnfinishedError.

    Ctrl-C, and exceptions that are no deliberate errors, leave nothing.
    """
    try:
        yield
    except (McldAnimError, OSError) as error:
        made = outputs.inside(work).result
        whole = made.exists()
        video = made if whole else pictures_of(made)
        frames = _frames_in(video)
        if not frames:
            raise
        kept = _free_name(outputs.result)
        video.replace(kept)
        why = str(error) if isinstance(error, McldAnimError) else f"{error.strerror or error}: {made}"
        why = why.replace(str(made), str(outputs.result))  # the work folder is gone when this is read
        raise UnfinishedError(f"{why}; {_how_to_go_on(clip, frames, kept, whole)}") from error


def _how_to_go_on(clip: Clip, frames: int, kept: Path, whole: bool) -> str:
    total = len(clip.driving)
    if whole:
        return f"all {total} frames are kept in {kept}, with their sound; `mcld-anim report` makes the report on it"
    if frames == total:
        return f"all {total} frames are kept in {kept}, without sound; `mcld-anim report` makes the report on it"
    return (
        f"{frames} of {total} frames are kept in {kept}, without sound; for the others, mend this and run the same "
        f"with --start {clip.driving.time(frames):.3f}"
    )


def _frames_in(video: Path) -> int:
    """The frames of an unfinished result: an archive of pictures, or a video that may have been cut short."""
    if not video.exists():
        return 0
    if video.suffix == ".zip":
        with zipfile.ZipFile(video) as archive:
            return len(archive.namelist())
    try:
        with open_video(video) as (container, stream):
            return sum(1 for _ in decoded_frames(container, stream, DecodeLog()))
    except VideoError:
        return 0


def _free_name(result: Path) -> Path:
    """The first name like out.kept.mp4, out.kept-2.mp4 that is free."""
    names = (result.with_suffix(f".kept{'' if number == 1 else f'-{number}'}{result.suffix}") for number in count(1))
    return next(path for path in names if not path.exists())
