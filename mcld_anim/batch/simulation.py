"""What a batch asks of a cluster: a discrete simulation of workers that share one storage and one driver.

Storage and driver serve requests one after another, in the order in which they come: the time in which a shared link
ends all its transfers is the same. A worker is a generator that yields what it waits for.
"""

from __future__ import annotations

import heapq
from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import count

from mcld_anim.batch.record import SAVING_SHARE
from mcld_anim.options.checks import check_range


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A batch, and the machines that run it. The defaults are assumptions on a video of 10 s at 30 frames/s."""

    jobs: int = 10_000
    gpus: int = 100
    sources: int = 500  # different photos among the jobs
    drivings: int = 200  # different driving videos
    frames: int = 300  # of each video
    frame_seconds: float = 2.0  # of one GPU, for a frame of the published model
    pose_seconds: float = 60.0  # to estimate the poses of a driving video
    source_seconds: float = 5.0  # to encode a photo
    model_gb: float = 9.5  # read by a worker when it starts
    start_seconds: float = 30.0  # to import packages and to move the models to the GPU
    input_gb: float = 0.035  # photo and driving video of a job
    cached_gb: float = 0.03  # its encoded source and poses
    frame_gb: float = 0.0006  # one lossless frame, kept until its video is finished
    result_gb: float = 0.02  # the video and its report
    storage_gb: float = 1.0  # per second, of the storage that all share
    answer_seconds: float = 0.002  # of the driver, to take an outcome and give the next row
    record_seconds: float = 2e-4  # of the driver for each row in batch.json, each time that it is written
    keeps_models: bool = True  # a worker loads models once, not for each row
    has_caches: bool = True  # sources and poses are computed once and read by others
    saves_each_row: bool = False  # batch.json is written after each row, not within `SAVING_SHARE` of the time

    def __post_init__(self) -> None:
        for flag, value in (("--jobs", self.jobs), ("--gpus", self.gpus), ("--frames", self.frames)):
            check_range(flag, value, 1, 10_000_000)
        check_range("--frame-seconds", self.frame_seconds, 1e-6, None)
        check_range("--storage", self.storage_gb, 1e-6, None)


@dataclass(frozen=True)
class Usage:
    """What came out."""

    hours: float  # until the last row is done
    gpu: float  # share of that time in which a GPU makes frames, 0..1
    storage: float  # share of the time in which storage is busy
    driver: float  # share of the time in which the driver is busy
    terabytes: float  # moved to and from storage
    last_start: float  # seconds until the last worker has its models

    @property
    def fullest(self) -> str:
        """What is busiest: the first to break if there were more of the others."""
        shares = {"GPUs": self.gpu, "storage": self.storage, "driver": self.driver}
        return max(shares, key=lambda name: shares[name])


class _Server:
    """Serves one request at a time."""

    def __init__(self) -> None:
        self.busy = 0.0
        self._free_at = 0.0

    def serve(self, now: float, seconds: float) -> float:
        """The time at which a request that comes `now` has been served."""
        self._free_at = max(now, self._free_at) + seconds
        self.busy += seconds
        return self._free_at


Step = tuple[_Server | None, float]
"""What a worker waits for: seconds of a server, or of its own (None)."""


class _Simulation:
    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.storage, self.driver = _Server(), _Server()
        self.making = 0.0  # seconds of frames
        self.began: list[float] = []  # when each worker had its models
        self._next = 0
        self._known: set[tuple[str, int]] = set()

    def run(self) -> float:
        """Run to the end; the time of it."""
        order, now = count(), 0.0
        events = [(now, next(order), self._worker()) for _ in range(self.cluster.gpus)]
        for _, _, worker in events:
            next(worker)
        while events:
            now, _, worker = heapq.heappop(events)
            try:
                server, seconds = worker.send(now)
            except StopIteration:
                continue
            then = now + seconds if server is None else server.serve(now, seconds)
            heapq.heappush(events, (then, next(order), worker))
        return now

    def _worker(self) -> Generator[Step, float, None]:
        cluster, first = self.cluster, True
        now = yield None, 0.0
        while self._next < cluster.jobs:
            job, self._next = self._next, self._next + 1
            yield self.driver, cluster.answer_seconds
            if first or not cluster.keeps_models:
                yield self._moved(cluster.model_gb)
                now = yield None, cluster.start_seconds
            if first:
                self.began.append(now)
            first = False
            yield from self._row(job)
            if cluster.saves_each_row:
                yield self.driver, cluster.record_seconds * cluster.jobs

    def _row(self, job: int) -> Generator[Step, float, None]:
        cluster = self.cluster
        rows_per_source = max(1, cluster.jobs // cluster.sources)
        yield self._moved(cluster.input_gb)
        for kind, number, seconds in (
            ("source", job // rows_per_source, cluster.source_seconds),
            ("poses", job % cluster.drivings, cluster.pose_seconds),
        ):
            if not (cluster.has_caches and (kind, number) in self._known):
                yield None, seconds
                self._known.add((kind, number))
            if cluster.has_caches:
                yield self._moved(cluster.cached_gb / 2)
        self.making += cluster.frames * cluster.frame_seconds
        yield None, cluster.frames * cluster.frame_seconds
        # Kept frames are written and read again; spread over the row's time, their sum counts, not their moment
        yield self._moved(2 * cluster.frames * cluster.frame_gb + cluster.result_gb)

    def _moved(self, gigabytes: float) -> Step:
        return self.storage, gigabytes / self.cluster.storage_gb


def simulate(cluster: Cluster) -> Usage:
    """Run a batch in simulated time."""
    simulation = _Simulation(cluster)
    seconds = simulation.run()
    driver = simulation.driver.busy / seconds
    if not cluster.saves_each_row:
        driver += SAVING_SHARE
    return Usage(
        hours=seconds / 3600,
        gpu=simulation.making / (seconds * cluster.gpus),
        storage=simulation.storage.busy / seconds,
        driver=driver,
        terabytes=simulation.storage.busy * cluster.storage_gb / 1000,
        last_start=max(simulation.began),
    )


def cases(cluster: Cluster) -> dict[str, Cluster]:
    """The cluster, and what would happen otherwise."""
    more = replace(cluster, gpus=10 * cluster.gpus)
    return {
        f"{cluster.gpus} GPUs": cluster,
        "models loaded for each row": replace(cluster, keeps_models=False),
        "no caches": replace(cluster, has_caches=False),
        f"{more.gpus} GPUs": more,
        f"{more.gpus} GPUs, record after each row": replace(more, saves_each_row=True),
        f"{more.gpus} GPUs, storage 10 times as quick": replace(more, storage_gb=10 * more.storage_gb),
    }
