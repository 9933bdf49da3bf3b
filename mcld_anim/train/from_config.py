"""Train a network from a configuration file, within a budget that the caller may change."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from mcld_anim.options.load import load_yaml
from mcld_anim.train.loop import LoopOptions, Task, TrainingResult, description, train

Options = TypeVar("Options")


@dataclass(frozen=True)
class BudgetOptions:
    """Length and processes of a training; None keeps the configuration's value."""

    minutes: float | None = None  # wall-clock minutes
    steps: int | None = None
    threads: int = 1  # CPU threads of the training process
    workers: int | None = None  # processes that make batches ahead


def load_training_options(cls: type[Options], config: str, budget: BudgetOptions) -> Options:
    """A training configuration (bundled name or path) with the budget applied.

    If `budget` sets minutes or steps, both of the configuration's values are replaced.
    """
    options = load_yaml(cls, config, folder="train")
    loop: LoopOptions = options.loop  # type: ignore[attr-defined]
    if budget.minutes is not None or budget.steps is not None:
        loop = dataclasses.replace(loop, minutes=budget.minutes, steps=budget.steps)
    if budget.workers is not None:
        loop = dataclasses.replace(loop, workers=budget.workers)
    return dataclasses.replace(options, loop=loop)  # type: ignore[type-var]


def train_from_config(
    cls: type[Options],
    make_task: Callable[[Options], Task],
    config: str,
    budget: BudgetOptions,
    output: Path,
    resume: bool = False,
    on_log: Callable[[str], None] = lambda line: None,
) -> TrainingResult:
    """Load the options of type `cls`, make their task and train it; see `train.loop.train`.

    A resumed run may have a longer budget and another number of workers. Sets the CPU threads of this process.
    """
    torch.set_num_threads(budget.threads)
    options = load_training_options(cls, config, budget)
    loop: LoopOptions = options.loop  # type: ignore[attr-defined]
    return train(make_task(options), loop, output, resume=resume, describe=description(options), on_log=on_log)
