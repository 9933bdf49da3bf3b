"""The jobs of all sessions, done one after another; they outlive pages, and the server too."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from mcld_anim.core.durable import make_folders
from mcld_anim.core.errors import McldAnimError, OutputError
from mcld_anim.ui.job import RECORD, THUMBNAIL, Job, Verb, read_job
from mcld_anim.ui.worker import Ended, Noticed, Previewed, Progressed, Task, serve

PATIENCE = 20.0
"""Seconds that a cancelled job has to end by itself, at the end of a batch, before its process is ended."""


class JobQueue:
    """The jobs in an output folder, and the process that does them."""

    def __init__(self, output_dir: Path, shared: bool) -> None:
        """Find the jobs of earlier servers; those that were cut off wait again. `shared`: everybody sees every job."""
        self.output_dir, self._shared = output_dir.absolute(), shared
        try:
            make_folders(self.output_dir)
            probe = self.output_dir / f".{secrets.token_hex(8)}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"--output-dir {output_dir} cannot be written to ({reason}): choose another") from error
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._process: BaseProcess | None = None
        self._link: Connection | None = None
        self._stopped = False
        for record in sorted(self.output_dir.glob(f"*/*/{RECORD}")):
            job = read_job(record.parent)
            if job is not None:
                job.state = "waiting" if job.is_active else job.state
                self._jobs[job.id] = job
        self._thread = threading.Thread(target=self._serve, name="mcld-anim jobs", daemon=True)
        self._thread.start()

    def new_folder(self, owner: str) -> Path:
        """An empty folder for a new job."""
        folder = self.output_dir / owner / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(8)}"
        make_folders(folder)
        return folder

    def add(self, folder: Path, verb: Verb, options: Mapping[str, Any]) -> Job:
        """A new job, which waits for those before it."""
        job = Job(folder.name, folder, verb, options, time.time())
        job.save()
        with self._changed:
            self._jobs[job.id] = job
            self._changed.notify_all()
        return job

    def jobs(self, owner: str) -> list[Job]:
        """The jobs that a session sees, the newest first."""
        return [job for job in self.all_jobs() if self._shared or job.owner == owner]

    def all_jobs(self) -> list[Job]:
        """The jobs of every session, the newest first; for figures only."""
        with self._changed:
            return sorted(self._jobs.values(), key=lambda job: job.created, reverse=True)

    def find(self, owner: str, job_id: str) -> Job | None:
        """A job that a session sees."""
        job = self._jobs.get(job_id)
        return job if job is not None and (self._shared or job.owner == owner) else None

    def before(self, job: Job) -> int:
        """How many jobs come before a waiting one."""
        with self._changed:
            return sum(one.is_active and one.created < job.created for one in self._jobs.values())

    def remove(self, owner: str, job_id: str) -> bool:
        """Cancel a session's own job, or delete its results; False if it is not its own."""
        job = self._jobs.get(job_id)
        if job is None or job.owner != owner:
            return False
        with self._changed:
            runs, job.state = job.state == "running", "cancelled"
            del self._jobs[job_id]
            (job.folder / RECORD).unlink(missing_ok=True)  # so that no later server goes on with it
        if not runs:
            self._clear(job)
        return True

    def wait(self, job: Job) -> None:
        """Wait until a job has ended."""
        with self._changed:
            while job.is_active:
                self._changed.wait(1)

    def close(self) -> None:
        """End the process. A job that runs goes on with the next server."""
        self._stopped = True
        self._end_process()

    def _serve(self) -> None:
        self._linked()  # it imports torch meanwhile
        while not self._stopped:
            with self._changed:
                waiting = [job for job in self._jobs.values() if job.state == "waiting"]
                job = min(waiting, key=lambda one: one.created, default=None)
                if job is None:
                    self._changed.wait()
                    continue
                job.state = "running"
                job.begin("start")
            try:
                self._do(job)
            except (McldAnimError, OSError) as error:  # a full disk, for one
                job.state, job.error = "failed", f"The server could not keep the job ({type(error).__name__})"
            with self._changed:
                self._changed.notify_all()

    def _do(self, job: Job) -> None:
        job.save()
        began, link = time.monotonic(), self._linked()
        with suppress(OSError):  # it died: `_heard` tells
            link.send(Task(job.folder, job.verb, job.options))
        cancelled_at: float | None = None
        while True:
            if job.state == "cancelled" and cancelled_at is None:
                cancelled_at = time.monotonic()
                with suppress(OSError):
                    link.send("cancel")
            if cancelled_at is not None and time.monotonic() - cancelled_at > PATIENCE:
                self._end_process()
            heard = self._heard(link)
            if isinstance(heard, Ended):
                break
            if heard is not None:
                _follow(job, heard)
        if self._stopped:
            return
        with self._changed:
            if job.state == "cancelled":
                self._clear(job)
                return
            job.result, job.files, job.error = heard.result, heard.files, heard.error
            job.seconds, job.frames = time.monotonic() - began, job.done
            if job.preview is not None:
                (job.folder / THUMBNAIL).write_bytes(job.preview)
            job.state = "failed" if heard.error else "done"
            job.save()

    def _heard(self, link: Connection) -> object:
        """What the worker says within a moment; the end of the task if it died."""
        try:
            return link.recv() if link.poll(0.1) else None
        except (EOFError, OSError):
            process, self._process, self._link = self._process, None, None
            if process is not None:
                process.join()
            return Ended(error="The process of the job ended, perhaps because memory was full: try fewer frames")

    def _linked(self) -> Connection:
        """The link to the process, which is started if there is none."""
        if self._process is None or self._link is None or not self._process.is_alive():
            context = get_context("spawn")  # a fork would share CUDA's and other libraries' state
            self._link, theirs = context.Pipe()
            self._process = context.Process(target=serve, args=(theirs,), name="mcld-anim worker", daemon=True)
            self._process.start()
            theirs.close()  # so that its end is seen when the worker dies
        return self._link

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.join(PATIENCE)
            self._process.kill()

    def _clear(self, job: Job) -> None:
        job.remove()
        with suppress(OSError):  # the session has others
            job.folder.parent.rmdir()


def owner_of(token: str) -> str:
    """The folder of a browser session; its name does not give the session away."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


def _follow(job: Job, heard: object) -> None:
    match heard:
        case Progressed(stage, done, total):
            job.advance(stage, done, total)
        case Previewed(index, jpeg):
            job.preview, job.preview_index = jpeg, index
        case Noticed(message):
            job.notices.append(message)
