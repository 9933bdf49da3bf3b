"""The process that does the jobs, one at a time, with the models loaded once.

It works inside a job's folder, so that no report holds a path of the server.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcld_anim.core.child_process import obey_parent
from mcld_anim.core.errors import McldAnimError
from mcld_anim.core.events import Event
from mcld_anim.ui.job import Verb
from mcld_anim.ui.messages import told, without_folders

if TYPE_CHECKING:
    from mcld_anim.animator import Animator

LEAST_PAUSE = 0.25
"""Seconds between two previews."""
PREVIEW_SIDE = 512
"""Longest side of a preview, in pixels."""


@dataclass(frozen=True)
class Task:
    """A job, for the worker."""

    folder: Path
    verb: Verb
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Progressed:
    """The progress of a stage."""

    stage: str
    done: int
    total: int | None


@dataclass(frozen=True)
class Previewed:
    """A finished frame."""

    index: int
    jpeg: bytes


@dataclass(frozen=True)
class Noticed:
    """An event."""

    message: str


@dataclass(frozen=True)
class Ended:
    """The end of a task: results, an error, or neither if it was cancelled."""

    result: str = ""
    files: tuple[str, ...] = ()
    error: str = ""


class Cancelled(Exception):
    """The user has cancelled the task."""


class ServerGone(Exception):
    """Nobody listens any more; the next server goes on with the task."""


class Hearing:
    """The callbacks of a task: each tells the server, and ends the task once the server asks for that."""

    def __init__(self, link: Connection, folder: Path) -> None:
        self._link, self._folder, self._last = link, folder, 0.0

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Tell the progress of a stage."""
        self._tell(Progressed(stage, done, total))

    def event(self, event: Event) -> None:
        """Tell an event."""
        self._tell(Noticed(without_folders(event.message, self._folder)))

    def frame(self, frame: Any) -> None:
        """Show a frame, unless the last one was shown just now."""
        self._check()
        if time.monotonic() - self._last < LEAST_PAUSE:
            return
        from mcld_anim.report.thumbnails import fit, to_jpeg

        self._tell(Previewed(frame.row.index, to_jpeg(fit(frame.shown, PREVIEW_SIDE))))
        self._last = time.monotonic()

    def _tell(self, message: object) -> None:
        self._check()
        try:
            self._link.send(message)
        except OSError:
            raise ServerGone from None

    def _check(self) -> None:
        try:
            asked = self._link.poll() and self._link.recv()  # while a task runs, the server asks for nothing else
        except (EOFError, OSError):
            raise ServerGone from None
        if asked:
            raise Cancelled


def serve(link: Connection) -> None:
    """The worker's life: do the tasks that arrive until the server is gone, whose next start goes on with them."""
    obey_parent()
    from mcld_anim.animator import Animator

    with Animator() as animator:
        try:
            while True:
                task = link.recv()
                if isinstance(task, Task):  # not a cancellation that came too late
                    link.send(_done(animator, task, link))
        except (EOFError, OSError, ServerGone):
            pass


def _done(animator: Animator, task: Task, link: Connection) -> Ended:
    hearing = Hearing(link, task.folder)
    try:
        os.chdir(task.folder)
        return _work(animator, task, hearing)
    except Cancelled:
        return Ended()
    except ServerGone:
        raise
    except Exception as error:
        if not isinstance(error, McldAnimError):
            traceback.print_exc(file=sys.stderr)
        return Ended(error=told(error, task.folder))
    finally:
        os.chdir(Path(task.folder.anchor))


def _work(animator: Animator, task: Task, hearing: Hearing) -> Ended:
    options = dict(task.options)
    if task.verb == "report":
        video, source = options.pop("video"), options.pop("source")
        seen = animator.report(video, source, progress=hearing.progress, on_event=hearing.event, **options)
        files = seen.files
        return Ended("", tuple(path.name for path in files.all if path.exists() and path.name != Path(video).name))
    if task.verb == "pose":
        from mcld_anim.options.resolve import resolve_options
        from mcld_anim.options.run import PoseOptions

        made = animator.run(resolve_options(PoseOptions, options), hearing.progress, hearing.event)
    else:
        source, driving = options.pop("source"), options.pop("driving")
        made = animator.animate(
            source, driving, progress=hearing.progress, on_event=hearing.event, on_frame=hearing.frame, **options
        )
    return Ended(made.output.name, tuple(path.name for path in made.files.all))
