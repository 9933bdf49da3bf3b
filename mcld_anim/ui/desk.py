"""What the page's buttons do: uploads become jobs, after the checks that any input goes through."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcld_anim.core.errors import McldAnimError, UsageError
from mcld_anim.core.pictures import read_picture
from mcld_anim.core.plain_data import shown
from mcld_anim.options.extract import ReportOptions
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import MODEL_NAMES, PoseOptions, RunOptions, SynthesisOptions
from mcld_anim.report.thumbnails import fit, to_jpeg
from mcld_anim.run.checks import check_pose, check_run
from mcld_anim.ui.controls import Control, changed
from mcld_anim.ui.job import Job, Verb, take_in
from mcld_anim.ui.messages import told
from mcld_anim.ui.plan import Plan, plan_of
from mcld_anim.ui.queue import JobQueue
from mcld_anim.video.probe import probe
from mcld_anim.video.read import read_frames

THUMBNAIL_SIDE, FRAME_SIDE = 384, 256
"""Longest sides of a photo and of a driving frame shown in the form, in pixels."""


class Refused(McldAnimError):
    """A request that is refused, in a sentence for the page."""


@dataclass(frozen=True)
class Upload:
    """A file that the page has received; a text of the form is never taken for one."""

    path: Path


def uploads(given: Any) -> list[Upload]:
    """The files that a component for files gives: none, one path or several."""
    paths = [] if given is None else [given] if isinstance(given, str) else given
    return [Upload(Path(path)) for path in paths]


class Desk:
    """Takes requests for the queue."""

    def __init__(self, jobs: JobQueue, controls: Sequence[Control], max_upload: int) -> None:
        """`max_upload`: largest file in MB."""
        self.jobs, self.controls, self._most = jobs, controls, max_upload * 1_000_000

    def animate(self, owner: str, photos: Sequence[Upload], driving: Upload | None, given: Mapping[str, Any]) -> Job:
        """A job of `run`; `given`: other options. Raises Refused."""
        if not photos:
            raise Refused("There is no photo: drop one, or take the sample")
        if driving is None:
            raise Refused("There is no driving video: drop one, record one, or take the sample")
        return self._job(owner, "run", RunOptions, {**given, "source": _source(photos), "driving": driving})

    def transfer(self, owner: str, photo: Upload, pose: Upload) -> Job:
        """A job of `pose`. Raises Refused."""
        return self._job(owner, "pose", PoseOptions, {"source": photo, "pose": pose})

    def report(self, owner: str, video: Upload, photo: Upload) -> Job:
        """A job of `report`. Raises Refused."""
        return self._job(owner, "report", ReportOptions, {"video": video, "source": photo})

    def plan(self, photos: Sequence[Upload], driving: Upload | None, given: Mapping[str, Any]) -> Plan | None:
        """What a job would be, told before it starts; None while something is missing. Raises Refused."""
        if not photos or driving is None:
            return None
        files = {"source": _source(photos), "driving": driving}
        with refusing(driving.path.parent):
            options = self._checked(RunOptions, {**given, **files})
            return plan_of(options, self.jobs.all_jobs())

    def form(self, values: Sequence[Any]) -> dict[str, Any]:
        """The options of the controls with these values, a value and for some a file for each, see `Control`."""
        plain, index = list[Any](), 0
        for control in self.controls:
            value, index = values[index], index + 1
            files = uploads(value) if control.kind == "file" else []
            if control.or_file:
                files, index = uploads(values[index]), index + 1
            plain.append(files[0] if files else value)
        return changed(self.controls, plain)

    def look_at_photos(self, photos: Sequence[Upload]) -> Iterator[bytes]:
        """A small JPEG of each photo, decoded only if its header is sound. Raises Refused."""
        for photo in photos:
            with refusing(photo.path.parent):
                yield to_jpeg(fit(read_picture(photo.path, "The photo", lambda event: None), THUMBNAIL_SIDE))

    def look_at_driving(self, driving: Upload, start: float, end: float | str | None) -> list[tuple[float, bytes]]:
        """The first and the last chosen frame, with their seconds. Raises Refused."""
        with refusing(driving.path.parent):
            if isinstance(end, str):
                raise UsageError(f"The end is {shown(end)}: give a number of seconds")
            self._check_size(driving)
            info = probe(driving.path)
            last = max(start, min(info.duration, info.duration if end is None else end) - float(1 / info.fps))
            found = []
            for seconds in (start, last):
                frames = read_frames(info, start=seconds, max_frames=1, backend="pyav", on_event=lambda event: None)
                found.append((seconds, to_jpeg(fit(next(frames).picture, FRAME_SIDE))))
            return found

    def _job(self, owner: str, verb: Verb, cls: Any, given: Mapping[str, Any]) -> Job:
        folder = self.jobs.new_folder(owner)
        try:
            with refusing(folder):
                inside = {name: self._taken(value, folder) for name, value in given.items()}
                self._checked(cls, inside)
                names = {name: _plain(value, name_only=True) for name, value in inside.items()}
                return self.jobs.add(folder, verb, names)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):  # the session has other jobs
                folder.parent.rmdir()
            raise

    def _taken(self, value: Any, folder: Path) -> Any:
        """A value whose files lie in the job's folder."""
        if isinstance(value, list):
            return [self._taken(one, folder) for one in value]
        if not isinstance(value, Upload):
            return value
        self._check_size(value)
        return Upload(folder / take_in(value.path, value.path.name, folder))

    def _check_size(self, upload: Upload) -> None:
        if not upload.path.is_file():
            raise UsageError(f"{upload.path.name} is not there any more: upload it again")
        if upload.path.stat().st_size > self._most:
            most = self._most // 1_000_000
            raise UsageError(f"{upload.path.name} is larger than the {most} MB that this page takes")

    def _checked(self, cls: Any, given: Mapping[str, Any]) -> Any:
        """Complete options, whose every input is an uploaded file."""
        options = resolve_options(cls, {name: _plain(value) for name, value in given.items()}, "The form")
        if isinstance(options, SynthesisOptions):
            if options.model not in MODEL_NAMES:
                raise UsageError(f"--model: choose {', '.join(MODEL_NAMES)}")
            outside = [path for path in options.inputs if not path.is_absolute()]
            if outside or any(_is_path(value) for value in given.values()):
                raise UsageError("A file was named in a text: upload it instead, or choose one of the names offered")
        if isinstance(options, RunOptions):
            check_run(options)
        elif isinstance(options, PoseOptions):
            check_pose(options)
        return options


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """Turn what goes wrong inside into Refused; `folder` holds the files concerned."""
    try:
        yield
    except Refused:
        raise
    except (McldAnimError, OSError, ImportError, MemoryError) as error:
        raise Refused(told(error, folder)) from error


def _source(photos: Sequence[Upload]) -> Any:
    return list(photos) if len(photos) > 1 else photos[0]


def _plain(value: Any, name_only: bool = False) -> Any:
    """A value as `resolve_options` takes it; files by path or, for the record, by name."""
    if isinstance(value, list):
        return [_plain(one, name_only) for one in value]
    if isinstance(value, Upload):
        return value.path.name if name_only else str(value.path)
    return value


def _is_path(value: Any) -> bool:
    """Whether a text may be the path of a file of the server."""
    return isinstance(value, str) and ("/" in value or "\\" in value or value.startswith("~"))
