"""Running rows in several processes of this machine, one per GPU, from one queue."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType

import torch

from mcld_anim.batch.executor import LOST, Listener, Outcome, Quieted, Workplace, threads_each
from mcld_anim.batch.in_process import TaskRunner
from mcld_anim.batch.tasks import Task
from mcld_anim.core.child_process import obey_parent
from mcld_anim.core.errors import McldAnimError, UsageError

GPUS_VARIABLE = "CUDA_VISIBLE_DEVICES"
"""Environment variable by which CUDA and ROCm show a process some of the GPUs."""

PATIENCE = 10.0
"""Seconds that a worker has to remove its unfinished files when it is told to end."""


@dataclass
class _Worker:
    process: BaseProcess
    gpu: str | None
    task: Task | None = None  # that it does
    proved: bool = False  # it has ended a task


def gpus_here() -> list[str]:
    """The GPUs that this process sees, by the names that `GPUS_VARIABLE` takes."""
    stated = [name.strip() for name in os.environ.get(GPUS_VARIABLE, "").split(",") if name.strip()]
    count = torch.cuda.device_count()
    return stated[:count] if stated else [str(number) for number in range(count)]


def cores_here() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus_for(workers: int | None) -> list[str | None]:
    """The GPU of each worker, None for the CPU; None workers: one per GPU, or one. Raises UsageError for too many."""
    gpus = gpus_here()
    if not gpus:
        if workers is not None and workers > cores_here():
            raise UsageError(f"--workers {workers}: this machine has {cores_here()} CPU cores and no GPU; ask for less")
        return [None] * (workers or 1)
    if workers is not None and workers > len(gpus):
        raise UsageError(f"--workers {workers}: {len(gpus)} GPUs are visible here; ask for as many, or for less")
    return list(gpus[:workers])


class Processes:
    """Workers in processes of their own; one that dies is replaced, and its task is told as lost."""

    def __init__(self, gpus: list[str | None], place: Workplace, listen: Listener) -> None:
        self._place, self._listen = place, listen
        self._context = get_context("spawn")  # a fork would share CUDA's and other libraries' state
        self._threads = threads_each(cores_here(), len(gpus))
        self._workers: dict[Connection, _Worker] = {}
        for gpu in gpus:
            self._start(gpu)

    @property
    def workers(self) -> int:
        """How many tasks may run at once."""
        return len(self._workers)

    def has_free(self) -> bool:
        """Whether a worker has no task."""
        return any(worker.task is None for worker in self._workers.values())

    def submit(self, task: Task) -> None:
        """Give a task to a worker that has none."""
        connection = next(link for link, worker in self._workers.items() if worker.task is None)
        self._workers[connection].task = task
        with suppress(OSError):  # it died: `outcomes` tells
            connection.send(task)

    def outcomes(self) -> list[Outcome]:
        """Wait for a second at most for what the workers say."""
        ended = []
        for connection in wait(list(self._workers), timeout=1):
            assert isinstance(connection, Connection)
            worker = self._workers[connection]
            try:
                heard = connection.recv()
            except (EOFError, OSError):
                ended += self._replace(connection)
                continue
            if isinstance(heard, Outcome):
                worker.task, worker.proved = None, True
                ended.append(heard)
            else:
                self._listen(*heard)
        return ended

    def _replace(self, connection: Connection) -> list[Outcome]:
        """Start another worker in place of a dead one; the outcome of its task, if it had one."""
        worker = self._workers.pop(connection)
        worker.process.join()
        ending = _ending(worker.process.exitcode)
        if worker.task is None and not worker.proved:
            raise McldAnimError(f"a worker ended before its first task ({ending}): run `mcld-anim doctor`")
        self._start(worker.gpu)
        return [] if worker.task is None else [Outcome(worker.task, LOST, {"error": f"its process ended ({ending})"})]

    def _start(self, gpu: str | None) -> None:
        ours, theirs = self._context.Pipe()
        given = (theirs, gpu, self._threads, self._place)
        process = self._context.Process(target=_serve, args=given, name="mcld-anim worker", daemon=True)
        process.start()
        theirs.close()  # so that its end is seen when the worker dies
        self._workers[ours] = _Worker(process, gpu)

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.process.terminate()
        for worker in self._workers.values():
            worker.process.join(PATIENCE)
            worker.process.kill()


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by signal {-code}; by the system, if memory was full"
    return f"exit code {code}"


def _serve(connection: Connection, gpu: str | None, threads: int, place: Workplace) -> None:
    """A worker's life: do the tasks that arrive, one at a time."""
    obey_parent()
    if gpu is not None:
        os.environ[GPUS_VARIABLE] = gpu
    torch.set_num_threads(threads)
    runner = TaskRunner(place)
    listen = Quieted(lambda *heard: connection.send(heard))
    try:
        while True:
            connection.send(runner.run(connection.recv(), listen))
    except (EOFError, OSError):
        pass  # the first process is gone
    finally:
        runner.close()
