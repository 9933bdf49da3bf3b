"""The batches of a training in their order, made in between its steps or ahead of them by worker processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cv2
import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from mcld_anim.core.errors import McldAnimError, UsageError

MakeBatch = Callable[[np.random.Generator, float], Any]
Order = tuple[list[int], float]
"""What a batch is made from: the seed of its randomness, and the progress of the training in 0..1."""
BATCHES_AHEAD = 3
"""That each worker has ready or is making."""


def iterate_batches(make: MakeBatch, orders: Iterator[Order], workers: int) -> Iterator[tuple[list[int], Any]]:
    """(seed, batch) of each of the `orders`, in their order.

    With `workers`, that many processes are forked from this one and work ahead; each batch is the same as without
    them, since it depends on its order alone, as long as the data on disk does not grow. Errors of this package are
    raised here as they are. UsageError on Windows, which cannot fork.
    """
    if workers and "fork" not in multiprocessing.get_all_start_methods():
        raise UsageError(f"{workers} worker processes cannot be forked on this system: train with --workers 0")
    loader = DataLoader(
        _Batches(make),
        batch_size=None,
        sampler=_Orders(orders),
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
    """Batches by their order."""

    def __init__(self, make: MakeBatch) -> None:
        self.make = make

    def __getitem__(self, order: Order) -> tuple[list[int], Any]:
        seed, progress = order
        try:
            return seed, self.make(np.random.default_rng(seed), progress)
        except McldAnimError as error:  # as a value: the loader would wrap it in its traceback
            return seed, error


class _Orders(Sampler[Order]):
    """The orders, read one by one in the training's own process."""

    def __init__(self, orders: Iterable[Order]) -> None:
        self.orders = orders

    def __iter__(self) -> Iterator[Order]:
        return iter(self.orders)


def _unchanged(batch: Any) -> Any:
    return batch


def _begin_worker(worker: int) -> None:
    cv2.setNumThreads(0)  # one process per core; and OpenCV's pool of threads does not outlive a fork
