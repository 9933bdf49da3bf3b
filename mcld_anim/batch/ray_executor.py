"""Running rows on a Ray cluster, an actor per GPU that keeps its models; the one file that imports Ray.

Machines of the cluster need this package, and the inputs, `--output-dir` and MCLD_ANIM_HOME under the same paths, on
shared storage. Encoded sources and poses are shared by the caches there, which outlive the cluster, unlike Ray's object
store.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from mcld_anim.batch.executor import LOST, Listener, Outcome, Quieted, Workplace, threads_each
from mcld_anim.batch.in_process import TaskRunner
from mcld_anim.batch.tasks import Task
from mcld_anim.core.errors import McldAnimError, MissingDependencyError, UsageError
from mcld_anim.core.events import Event

PASSED_ON = ("MCLD_ANIM_", "HF_", "OMP_NUM_THREADS")
"""Beginnings of the environment variables that workers get from here."""

PATIENCE = 10.0
"""Seconds that workers have to remove their working files."""

OBJECT_STORE_BYTES = 80_000_000
"""Size of the object store of a cluster of our own, nearly the least that Ray takes: only tasks and outcomes pass."""


class RayWorkers:
    """Workers on a Ray cluster. A dead one's task is told as lost, and a new worker joins when a machine has room.

    Ray could restart an actor and repeat its call by itself (`max_restarts`); the task would wait for the lost worker's
    GPU to come back, while others are free. `ray.util.ActorPool` raises a lost worker's error without saying which task
    it had.
    """

    def __init__(self, address: str | None, workers: int | None, most: int, place: Workplace, listen: Listener) -> None:
        """`most`: the number of tasks; more workers are not started."""
        self._ray = ray = _imported_ray()
        self._listen, self._began = listen, not ray.is_initialized()
        address = address or os.environ.get("RAY_ADDRESS")
        if self._began:
            _connect(ray, address)
        try:
            there, resources, threads = _resources(ray, workers)
            self.workers = min(there, most)
            from ray.util.queue import Queue

            self._heard = Queue(actor_options={"num_cpus": 0, "max_restarts": -1})
            env = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
            self._actor = ray.remote(_RayWorker).options(
                **resources, max_restarts=0, runtime_env={"env_vars": env} if address else None
            )
            self._given = (Path.cwd(), place, threads, self._heard)
            self._free: list[Any] = []
            self._tasks: dict[Any, tuple[Task, Any]] = {}  # by the reference to the outcome; with its actor
            self._starting: dict[Any, Any] = {}  # by the reference to its readiness
            for _ in range(self.workers):
                self._start()
        except BaseException:
            self._disconnect()
            raise

    def has_free(self) -> bool:
        """Whether a worker is ready and has no task."""
        return bool(self._free)

    def submit(self, task: Task) -> None:
        """Give a task to a free worker."""
        actor = self._free.pop()
        self._tasks[actor.run.remote(task)] = (task, actor)

    def outcomes(self) -> list[Outcome]:
        """Wait for a second at most for a worker to end its task or to become ready."""
        ready, _ = self._ray.wait([*self._tasks, *self._starting], num_returns=1, timeout=1)
        self._pass_on()
        return [outcome for reference in ready for outcome in self._ended(reference)]

    def _ended(self, reference: Any) -> list[Outcome]:
        if reference in self._starting:
            actor = self._starting.pop(reference)
            try:
                self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:
                raise McldAnimError(f"a Ray worker cannot start: {error.cause}") from error
            except self._ray.exceptions.RayError as error:
                if not (self._free or self._tasks or self._starting):
                    raise McldAnimError(f"no Ray worker is left ({_first_line(error)}): look at the cluster") from error
            else:
                self._free.append(actor)
            return []
        task, actor = self._tasks.pop(reference)
        try:
            outcome = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:  # a defect: a task's own errors are its outcome
            raise error.as_instanceof_cause() from error
        except self._ray.exceptions.RayError as error:
            self._ray.kill(actor)
            self._start()
            return [Outcome(task, LOST, {"error": f"its Ray worker was lost ({_first_line(error)})"})]
        self._free.append(actor)
        return [outcome]

    def _start(self) -> None:
        actor = self._actor.remote(*self._given)
        self._starting[actor.ready.remote()] = actor

    def _pass_on(self) -> None:
        """Tell the listener what workers said."""
        with suppress(self._ray.exceptions.RayError):  # the queue's machine was lost with what was in it
            for task, heard in self._heard.get_nowait_batch(self._heard.qsize()):
                self._listen(task, heard)

    def _disconnect(self) -> None:
        if self._began:
            self._ray.shutdown()

    def __enter__(self) -> RayWorkers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._free:
            closing = [actor.close.remote() for actor in self._free]
            self._ray.wait(closing, num_returns=len(closing), timeout=PATIENCE)
        for actor in (*self._free, *self._starting.values(), *(actor for _, actor in self._tasks.values())):
            self._ray.kill(actor)
        self._heard.shutdown(force=True)
        self._disconnect()


class _RayWorker:
    """The actor."""

    def __init__(self, folder: Path, place: Workplace, threads: int, heard: Any) -> None:
        self._folder, self._place, self._threads, self._heard = folder, place, threads, heard
        self._runner: TaskRunner | None = None

    def ready(self) -> None:
        """Prepare for tasks: the first call. An error here is told to the driver, one of the constructor is not."""
        import torch

        for needed in (self._folder, self._place.output_dir):
            if not needed.is_dir():
                raise McldAnimError(f"{needed} is no folder there: share it with every machine of the cluster")
        os.chdir(self._folder)  # which input paths are relative to
        torch.set_num_threads(self._threads)
        self._runner = TaskRunner(self._place)

    def run(self, task: Task) -> Outcome:
        """Do one task."""
        assert self._runner is not None
        return self._runner.run(task, Quieted(self._tell))

    def close(self) -> None:
        """Delete working files."""
        assert self._runner is not None
        self._runner.close()

    def _tell(self, task: Task, heard: Event | tuple[str, int, int | None]) -> None:
        from ray.exceptions import RayError

        with suppress(RayError):
            self._heard.put((task, heard))


def _imported_ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read at its import: a cluster of our own tells nobody
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError("--executor ray needs Ray: pip install 'mcld-anim[ray]'") from error
    return ray


def _connect(ray: Any, address: str | None) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address:
            ray.init(address=address, **quiet)
        else:
            ray.init(address="local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = f"--address {address}" if address else "a Ray cluster on this machine"
        raise McldAnimError(f"{where} cannot be used ({_first_line(error)}): see `ray status`") from error


def _resources(ray: Any, workers: int | None) -> tuple[int, dict[str, float], int]:
    """The number of workers, what each needs of the cluster, and its CPU threads. Raises UsageError for too many."""
    there = ray.cluster_resources()
    gpus, cores = int(there.get("GPU", 0)), int(there.get("CPU", 0))
    usual = gpus or sum(node["Alive"] for node in ray.nodes())
    most, what = (gpus, "GPUs") if gpus else (cores, "CPU cores and no GPU")
    count = usual if workers is None else workers
    if count > most:
        raise UsageError(f"--workers {count}: the Ray cluster has {most} {what}; ask for less, or add machines")
    return count, {"num_cpus": 0, "num_gpus": 1} if gpus else {"num_cpus": 1}, threads_each(cores, count)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
