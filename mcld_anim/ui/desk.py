"""What the page's buttons do: uploads become jobs, after the checks that any input goes through."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mcld_anim.core.errors import McldAnimError, UsageError
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import MODEL_NAMES, PoseOptions, RunOptions, SynthesisOptions
from mcld_anim.ui.controls import Control, changed, takes_several
from mcld_anim.ui.job import Job, Verb, take_in
from mcld_anim.ui.messages import told
from mcld_anim.ui.queue import JobQueue

THUMBNAIL_SIDE = 384
"""Longest side of a photo shown beside the form, in pixels."""


class Refused(McldAnimError):
    """A request that is refused, in a sentence for the page."""


class Desk:
    """Takes requests for the queue."""

    def __init__(self, jobs: JobQueue, controls: Sequence[Control], max_upload: int) -> None:
        """`max_upload`: largest file in MB."""
        self.jobs, self.controls, self._most = jobs, controls, max_upload * 1_000_000

    def animate(self, owner: str, photos: Sequence[str], driving: str | None, given: Mapping[str, Any]) -> Job:
        """A job of `run` with uploaded files. `given`: other options, files by their uploaded paths. Raises Refused."""
        if not photos:
            raise Refused("There is no photo: drop one, or take the sample")
        if driving is None:
            raise Refused("There is no driving video: drop one, record one, or take the sample")
        if len(photos) > 1 and not takes_several("source"):
            raise Refused(f"There are {len(photos)} photos: leave one of them")
        source: Any = list(photos) if takes_several("source") else photos[0]
        return self._job(owner, "run", RunOptions, {**given, "source": source, "driving": driving})

    def transfer(self, owner: str, photo: str, pose: str, given: Mapping[str, Any]) -> Job:
        """A job of `pose`. Raises Refused."""
        source: Any = [photo] if takes_several("source") else photo
        return self._job(owner, "pose", PoseOptions, {**given, "source": source, "pose": pose})

    def report(self, owner: str, video: str, photo: str) -> Job:
        """A job of `report`. Raises Refused."""
        from mcld_anim.options.extract import ReportOptions

        source: Any = [photo] if takes_several("source", ReportOptions) else photo
        return self._job(owner, "report", ReportOptions, {"video": video, "source": source})

    def form(self, values: Sequence[Any]) -> dict[str, Any]:
        """The options of the controls with these values, a value and for some a file for each, see `Control`."""
        plain, index = list[Any](), 0
        for control in self.controls:
            value, index = values[index], index + 1
            if control.or_file:
                value, index = values[index] or value, index + 1
            plain.append(value)
        return changed(self.controls, plain)

    def look_at_photos(self, photos: Sequence[str]) -> Iterator[bytes]:
        """A small JPEG of each uploaded photo, decoded only if its header is sound. Raises Refused."""
        from mcld_anim.core.pictures import read_picture
        from mcld_anim.report.thumbnails import fit, to_jpeg

        for photo in photos:
            with refusing(Path(photo).parent):
                yield to_jpeg(fit(read_picture(Path(photo), "The photo", lambda event: None), THUMBNAIL_SIDE))

    def _job(self, owner: str, verb: Verb, cls: Any, given: Mapping[str, Any]) -> Job:
        folder = self.jobs.new_folder(owner)
        try:
            with refusing(folder):
                inside = {name: self._taken(value, folder) for name, value in given.items()}
                self._check(cls, inside, folder)
                names = {name: _relative(value, folder) for name, value in inside.items()}
                return self.jobs.add(folder, verb, names)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _taken(self, value: Any, folder: Path) -> Any:
        """A value whose uploaded files lie in the job's folder."""
        if isinstance(value, list | tuple):
            return [self._taken(one, folder) for one in value]
        if not isinstance(value, str) or not Path(value).is_absolute():
            return value
        path = Path(value)
        if not path.is_file():
            raise UsageError(f"{path.name} is not there any more: upload it again")
        if path.stat().st_size > self._most:
            raise UsageError(f"{path.name} is larger than the {self._most // 1_000_000} MB that this page takes")
        return str(folder / take_in(path, path.name, folder))

    def _check(self, cls: Any, inside: Mapping[str, Any], folder: Path) -> None:
        options = resolve_options(cls, inside, "The form")
        if isinstance(options, SynthesisOptions):
            if options.model not in MODEL_NAMES:
                raise UsageError(f"--model: choose {', '.join(MODEL_NAMES)}")
            outside = [path for path in options.inputs if folder not in path.parents]
            if outside:
                raise UsageError(
                    f"{outside[0].name} is no uploaded file: upload it, or choose one of the names offered"
                )
        from mcld_anim.run.checks import check_pose, check_run

        if isinstance(options, RunOptions):
            check_run(options)
        elif isinstance(options, PoseOptions):
            check_pose(options)


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """Turn what goes wrong inside into Refused; `folder` holds the files concerned."""
    try:
        yield
    except Refused:
        raise
    except (McldAnimError, OSError, ImportError, MemoryError) as error:
        raise Refused(told(error, folder)) from error


def _relative(value: Any, folder: Path) -> Any:
    if isinstance(value, list | tuple):
        return [_relative(one, folder) for one in value]
    return value.removeprefix(f"{folder}/").removeprefix(f"{folder}\\") if isinstance(value, str) else value
