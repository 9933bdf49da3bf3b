"""The batches of a training in order, made between its steps or ahead of them by worker processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from mcld_anim.core.errors import McldAnimError, UsageError

MakeBatch = Callable[[np.random.Generator, float], Any]
BatchRequest = tuple[list[int], float]
"""Seed of a batch, and progress of the training in 0..1: all that the batch depends on."""
BATCHES_AHEAD = 3
"""Number of batches that each worker has ready or in progress."""


def iterate_batches(make: MakeBatch, requests: Iterator[BatchRequest], workers: int) -> Iterator[tuple[list[int], Any]]:
    """(seed, batch) for each of the `requests`, in order.

    `workers` processes are forked from this one and work ahead. Batches do not depend on the number of workers, as long
    as the data on disk does not grow. This package's errors are re-raised unchanged. Raises UsageError on Windows,
    which cannot fork.
    """
    if workers and "fork" not in multiprocessing.get_all_start_methods():
        raise UsageError(f"{workers} worker processes cannot be forked on this system: train with --workers 0")
    loader = DataLoader(
        _Batches(make),
        batch_size=None,
        sampler=_Requests(requests),
        num_workers=workers,
        collate_fn=_unchanged,
        worker_init_fn=_begin_worker,
        prefetch_factor=BATCHES_AHEAD if workers else None,
        multiprocessing_context="fork" if workers else None,
    )
    for seed, batch in loader:
        if isinstance(batch, McldAnimError):
            raise batch
        yield seed, batch


class _Batches(Dataset[tuple[list[int], Any]]):
    """Makes the batch of a request."""

    def __init__(self, make: MakeBatch) -> None:
        self.make = make

    def __getitem__(self, request: BatchRequest) -> tuple[list[int], Any]:
        seed, progress = request
        try:
            return seed, self.make(np.random.default_rng(seed), progress)
        except McldAnimError as error:  # returned, not raised: the loader would wrap it in its own traceback
            return seed, error


class _Requests(Sampler[BatchRequest]):
    """The requests, read one by one in the training process."""

    def __init__(self, requests: Iterable[BatchRequest]) -> None:
        self.requests = requests

    def __iter__(self) -> Iterator[BatchRequest]:
        return iter(self.requests)


def _unchanged(batch: Any) -> Any:
    return batch


def _begin_worker(worker: int) -> None:
    cv2.setNumThreads(0)  # one process per core; OpenCV's thread pool does not survive a fork
