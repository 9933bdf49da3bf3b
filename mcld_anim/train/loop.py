"""The training loop that every network here shares: it survives being killed and continues exactly.

Step i draws its batches and its noise from (seed, i, number of the batch) alone, never from what ran before it; a
checkpoint holds the network, its EMA, the optimizer and the step. A run that was killed and resumed therefore ends bit
for bit where an uninterrupted one of the same number of steps (and of CPU threads: rounding depends on it) ends, and
loses at most the steps since its last checkpoint.

Devices, half precision and several processes are accelerate's business (`torchrun --nproc-per-node 4 -m
mcld_anim.cli.main train ...`). The batches of a step are numbered over processes and accumulation alike, so that two
processes compute what one with `accumulate: 2` does.
"""

from __future__ import annotations

import atexit
import copy
import gc
import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from mcld_anim.core.errors import McldAnimError, UsageError
from mcld_anim.options.load import to_mapping
from mcld_anim.train.batches import iterate_batches
from mcld_anim.train.course import learning_rate, update_average
from mcld_anim.train.plot import draw_curve
from mcld_anim.train.record import Checkpoint, Curve, write_checkpoint, write_weights

if TYPE_CHECKING:
    from accelerate import Accelerator

CHECKPOINT_NAME = "checkpoint.pt"
WEIGHTS_NAME = "weights.safetensors"
MAX_BAD_STEPS = 20
"""Steps in a row without a finite loss and gradient after which a run gives up."""
LOSS_STREAM = 1
"""Tells the random numbers of a loss from those of its batch."""


@dataclass(frozen=True)
class LoopOptions:
    """How long and how fast to learn. The budget ends by `steps` or by `minutes`, whichever is set and first."""

    batch_size: int = 8
    """Samples of one batch, on each process."""
    accumulate: int = 1
    """Batches on each process whose gradients are averaged before an update."""
    workers: int = 0
    """Processes beside each training process that make its batches ahead of time; 0 makes them in between. The same
    batches come of both, but that a clock's progress is read up to three batches of each worker earlier."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """What the networks compute in (autocast); parameters and their averages stay in float32."""
    learning_rate: float = 1e-3
    """Peak of the schedule, after the warm-up."""
    final_learning_rate: float = 0.02
    """Last learning rate, as a part of the peak."""
    warmup_steps: int = 100
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    decay_from: float = 0.0
    """Part of the budget at the peak before the schedule begins to fall."""
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    gradient_clip: float = 1.0
    """Largest norm of the gradient over all parameters."""
    ema_decay: float = 0.998
    """Of the averaged weights, per step; shorter while the run is young."""
    steps: int | None = None
    minutes: float | None = None
    """Wall-clock time of training in all, earlier runs of a resumed one included."""
    checkpoint_minutes: float = 3.0
    checkpoint_steps: int | None = None
    """Also write a checkpoint every so many steps."""
    evaluate_minutes: float = 3.0
    log_steps: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise ValueError("neither steps nor minutes is set; give one, so that the training ends")
        for name in ("batch_size", "learning_rate", "gradient_clip", "log_steps", "accumulate"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected more than 0")
        if self.workers < 0:
            raise ValueError(f"workers is {self.workers}, expected 0 or more")
        if not 0.0 <= self.decay_from < 1.0 or not 0.0 <= self.ema_decay < 1.0:
            raise ValueError("decay_from and ema_decay must lie in 0..1, 1 excluded")


class Task(Protocol):
    """What is learned. `network` holds every trained parameter, and says by `device_of` where batches belong."""

    network: nn.Module

    def batch(self, rng: np.random.Generator, progress: float) -> Any:
        """One batch, on the CPU; all randomness from `rng`, progress in 0..1 of the budget.

        It may be called in a worker process, so it must not touch `network` or any device.
        """

    def loss(self, batch: Any, rng: np.random.Generator, progress: float) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The batch's loss and scalar figures for the curve; further randomness from `rng`.

        Draws of torch's global generator (dropout) are seeded per step by the loop. Figures stay tensors: reading one
        would make the processor wait for the device in every step.
        """

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Figures of the averaged network (eval mode, no gradient) on development data."""

    def export(self, network: nn.Module) -> tuple[dict[str, Tensor], dict[str, object]]:
        """The tensors to publish from the averaged network and what their file's header says about them."""


@dataclass(frozen=True)
class TrainingResult:
    """Where a run ended."""

    steps: int
    seconds: float
    figures: dict[str, float]
    weights: Path


def train(
    task: Task,
    options: LoopOptions,
    output: Path,
    *,
    resume: bool = False,
    describe: dict[str, object] | None = None,
    on_log: Callable[[str], None] = lambda line: None,
) -> TrainingResult:
    """Train until the budget is spent.

    Writes checkpoint, curve (CSV and SVG), and float16 weights of the EMA into `output`.

    `describe` (plain data: the options that made the task) is kept in the checkpoint; a resumed run must bring
    the same. Raises UsageError where `output` holds a run and `resume` was not asked for.
    """
    run = _Run(task, options, output, describe or {}, on_log)
    run.begin(resume)
    try:
        while (progress := run.progress()) < 1.0:
            run.step(progress)
            if run.accelerator.is_main_process:
                run.keep_records()
    finally:
        del run.batches  # ends the workers, which refer to the run and would outlive it
    return run.finish()


def description(options: object) -> dict[str, object]:
    """What a resumed run must share with its beginning: a training's options, without its length and its workers."""
    described = to_mapping(options)
    described["loop"] = {k: v for k, v in described["loop"].items() if k not in ("steps", "minutes", "workers")}
    return {"training": described}


def device_of(network: nn.Module) -> torch.device:
    """Where a network's parameters lie; the CPU for one without any."""
    return next(network.parameters(), torch.empty(0)).device


class _Step(nn.Module):
    """A task's loss as a module, so that what wraps modules for several processes sees the whole of a step."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.network, self.task_loss = task.network, task.loss

    def forward(self, batch: Any, rng: np.random.Generator, progress: float) -> tuple[Tensor, Mapping[str, Tensor]]:
        return self.task_loss(batch, rng, progress)


def _accelerator(precision: str) -> Accelerator:
    try:
        from accelerate import Accelerator
        from accelerate.utils import DistributedDataParallelKwargs
    except ImportError as error:
        raise UsageError(
            f"training needs accelerate ({error}): install it with `pip install 'mcld-anim[train]'`"
        ) from error
    names = {"float32": "no", "float16": "fp16", "bfloat16": "bf16"}
    # Dropped samples leave the reference unused, frozen layers get no gradient at all.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(mixed_precision=names[precision], kwargs_handlers=[unused])
    if accelerator.num_processes > 1:
        atexit.register(_leave_group)
    return accelerator


def _leave_group() -> None:
    """Leave the other processes in order: at the interpreter's own end the group's threads may abort this one, and
    torchrun would then end all."""
    gc.collect()  # a finished run lies in a cycle, and its model holds on to the group
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class _Run:
    """One training in progress: network, average, optimizer, step and clock."""

    def __init__(
        self,
        task: Task,
        options: LoopOptions,
        output: Path,
        describe: dict[str, object],
        on_log: Callable[[str], None],
    ) -> None:
        self.task, self.options, self.output, self.describe = task, options, output, describe
        self.accelerator = _accelerator(options.precision)
        self.on_log = on_log
        self.parameters = [p for p in task.network.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            self.parameters, options.learning_rate, betas=options.betas, weight_decay=options.weight_decay
        )
        self.model, self.optimizer = self.accelerator.prepare(_Step(task), optimizer)
        self.average = copy.deepcopy(task.network).requires_grad_(False).eval()
        self.steps_done, self.seconds_before, self.bad_steps = 0, 0.0, 0
        self.figures: dict[str, float] = {}
        self.measured_step = -1
        self.agreed_progress = 0.0

    def begin(self, resume: bool) -> None:
        """Take up the checkpoint in `output`, or start a new run there."""
        path = self.output / CHECKPOINT_NAME
        there = path.exists()
        self.accelerator.wait_for_everyone()
        if there and not resume:
            raise UsageError(f"{self.output} holds a training run already; continue it with --resume or choose another")
        self.output.mkdir(parents=True, exist_ok=True)
        if there:
            state = Checkpoint.read(path)
            state.check_description(self.describe, path)
            self.task.network.load_state_dict(state.network)
            self.average.load_state_dict(state.average)
            self.optimizer.load_state_dict(state.optimizer)
            if self.accelerator.scaler is not None and state.scaler:
                self.accelerator.scaler.load_state_dict(state.scaler)
            self.steps_done, self.seconds_before, self.figures = state.step, state.seconds, state.figures
        if self.accelerator.is_main_process:
            if there:
                self.on_log(f"resumed at step {self.steps_done}")
            self.curve = Curve(self.output / "curve.csv", self.steps_done)
            self.evaluations = Curve(self.output / "evaluation.csv", self.steps_done)
        self.started = self.saved = self.evaluated = time.monotonic()
        self.progress()  # what the first batches are ordered with
        self.batches = iterate_batches(self.task.batch, self._coming_batches(), self.options.workers)

    def _coming_batches(self) -> Iterator[tuple[list[int], float]]:
        """Seed and progress of every batch of this process, in order, for as long as anybody asks.

        Workers are ahead of the training: where the budget is wall-clock time, the progress is the latest known.
        """
        options, accelerator = self.options, self.accelerator
        for step in itertools.count(self.steps_done):
            progress = max(self.agreed_progress, step / options.steps if options.steps else 0.0)
            for number in range(options.accumulate):
                position = number * accelerator.num_processes + accelerator.process_index
                yield [options.seed, step, position], min(1.0, progress)

    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def progress(self) -> float:
        """Part of the budget that is spent, 0..1, by the clock of the main process."""
        parts = [0.0]
        if self.options.steps is not None:
            parts.append(self.steps_done / max(1, self.options.steps))
        if self.options.minutes is not None:
            parts.append(self.seconds() / (60.0 * max(1e-9, self.options.minutes)))
        self.agreed_progress = self._agreed(min(1.0, max(parts)))
        return self.agreed_progress

    def _agreed(self, value: float) -> float:
        """The main process's value, in every process."""
        if self.accelerator.num_processes == 1:
            return value
        from accelerate.utils import broadcast

        exact = torch.tensor([value], dtype=torch.float64, device=self.accelerator.device)
        return float(broadcast(exact))

    def step(self, progress: float) -> None:
        """One update from the batches of (seed, step)."""
        step, accelerator = self.steps_done, self.accelerator
        rate = learning_rate(self.options, step, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.task.network.train()
        loss, figures = self._gradients(progress)
        norm = torch.as_tensor(accelerator.clip_grad_norm_(self.parameters, self.options.gradient_clip))
        finite = bool(torch.isfinite(norm))
        if finite or accelerator.scaler is not None:  # the scaler leaves such steps out by itself, and learns from them
            self.optimizer.step()
        if finite:
            update_average(self.average, self.task.network, self.options.ema_decay, step)
        self.optimizer.zero_grad(set_to_none=True)
        self.bad_steps = 0 if finite else self.bad_steps + 1
        if self.bad_steps >= MAX_BAD_STEPS:
            raise McldAnimError(
                f"loss or gradient was not finite {MAX_BAD_STEPS} steps in a row at step {step}; lower the learning "
                f"rate and continue from {self.output / CHECKPOINT_NAME}"
            )
        self.steps_done += 1
        if accelerator.is_main_process and self.steps_done % self.options.log_steps == 0:
            row = {
                "loss": float(loss),
                "gradient_norm": float(norm),
                "learning_rate": rate,
                **{name: float(figure) for name, figure in figures.items()},
            }
            self.curve.add(self.steps_done, self.seconds(), row)
            self.on_log(_line(self.steps_done, self.seconds(), row))

    def _gradients(self, progress: float) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Average the gradients of all batches of a step; this process's mean loss, and figures of its last batch."""
        accelerator, count = self.accelerator, self.options.accumulate
        total = torch.zeros((), device=accelerator.device)
        figures: Mapping[str, Tensor] = {}
        for number in range(count):
            seed, batch = next(self.batches)
            rng = np.random.default_rng([*seed, LOSS_STREAM])
            torch.manual_seed(int(rng.integers(2**63)))
            last = number == count - 1
            with nullcontext() if last else accelerator.no_sync(self.model), accelerator.autocast():
                loss, figures = self.model(batch, rng, progress)
            accelerator.backward(loss / count)
            total += loss.detach() / count
        return total, figures

    def keep_records(self) -> None:
        """Evaluate and write a checkpoint when it is time to."""
        now, every = time.monotonic(), self.options.checkpoint_steps
        if now - self.evaluated >= 60.0 * self.options.evaluate_minutes:
            self.evaluate()
        due = now - self.saved >= 60.0 * self.options.checkpoint_minutes
        if due or (every is not None and self.steps_done % every == 0):
            self.save()

    def evaluate(self) -> None:
        with torch.no_grad():
            self.figures = self.task.evaluate(self.average)
        self.evaluations.add(self.steps_done, self.seconds(), self.figures)
        self.on_log("evaluation: " + _line(self.steps_done, self.seconds(), self.figures))
        self.evaluated, self.measured_step = time.monotonic(), self.steps_done

    def save(self) -> None:
        state = Checkpoint(
            step=self.steps_done,
            seconds=self.seconds(),
            network=self.task.network.state_dict(),
            average=self.average.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scaler={} if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
            figures=self.figures,
            description=self.describe,
        )
        write_checkpoint(self.output / CHECKPOINT_NAME, state)
        self.export()
        if self.curve.path.exists():
            draw_curve(self.curve.path)
        self.saved = time.monotonic()

    def export(self) -> Path:
        with torch.no_grad():
            tensors, header = self.task.export(self.average)
        header = {
            **self.describe,
            **header,
            "steps": self.steps_done,
            "hours": round(self.seconds() / 3600, 3),
            "measured": self.figures,
        }
        path = self.output / WEIGHTS_NAME
        write_weights(path, tensors, header)
        return path

    def finish(self) -> TrainingResult:
        if self.accelerator.is_main_process:
            if self.measured_step != self.steps_done:
                self.evaluate()
            self.save()
        self.accelerator.wait_for_everyone()
        return TrainingResult(self.steps_done, self.seconds(), self.figures, self.output / WEIGHTS_NAME)


def _line(step: int, seconds: float, figures: dict[str, float]) -> str:
    listed = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
    return f"step {step}  {seconds / 60:.1f} min  {listed}"
