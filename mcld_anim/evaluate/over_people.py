"""Measuring people one by one with the embedded model, on all cores: a process for each, one thread in each."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import TypeVar

import torch

from mcld_anim.evaluate.embedded import load_embedded_models
from mcld_anim.model.load import LoadedModels

T = TypeVar("T")

MOST_PROCESSES = 8
"""Each holds the embedded networks, about 0.7 GB."""


def over_people(
    measure: Callable[[int, LoadedModels], T],
    people: int,
    models: LoadedModels | None = None,
    on_person: Callable[[int, int], None] = lambda done, total: None,
) -> list[T]:
    """`measure(number, models)` of each person, in order.

    With `models` they are measured here; without, in processes that load the embedded ones, so `measure` is a function
    of a module, or a `partial` of one. What a person gives does not depend on where it is measured, but for float32
    sums in another order.
    """
    if models is not None:
        found = []
        for number in range(people):
            found.append(measure(number, models))
            on_person(number + 1, people)
        return found
    processes = max(1, min(people, os.cpu_count() or 1, MOST_PROCESSES))
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(processes, context, torch.set_num_threads, (1,)) as pool:
        waiting = [pool.submit(_measured, measure, number) for number in range(people)]
        found = []
        for number, future in enumerate(waiting):
            found.append(future.result())
            on_person(number + 1, people)
        return found


def _measured(measure: Callable[[int, LoadedModels], T], number: int) -> T:
    return measure(number, _models())


_models = cache(load_embedded_models)
