"""The training loop shared by every network; a killed run resumes exactly.

Step i draws its batches and its noise from (seed, i, batch number) alone, never from earlier state. A checkpoint holds
the network, its EMA, the optimizer and the step. A killed and resumed run therefore ends bit for bit like an
uninterrupted one with the same number of steps and of CPU threads (rounding depends on these), and loses at most the
steps since its last checkpoint.

accelerate handles devices, half precision and several processes (`torchrun --nproc-per-node 4 -m mcld_anim.cli.start
train ...`). The batches of a step are numbered across processes and accumulation, so two processes compute the same as
one with `accumulate: 2`.
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
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from mcld_anim.core.errors import McldAnimError, UsageError
from mcld_anim.options.load import to_mapping
from mcld_anim.train.batches import iterate_batches
from mcld_anim.train.plot import draw_curve
from mcld_anim.train.record import Checkpoint, Curve, write_checkpoint, write_weights
from mcld_anim.train.schedule import learning_rate, update_average

if TYPE_CHECKING:
    from accelerate import Accelerator

CHECKPOINT_NAME = "checkpoint.pt"
WEIGHTS_NAME = "weights.safetensors"
MAX_BAD_STEPS = 20
"""Number of consecutive steps without a finite loss and gradient after which a run stops."""
LOSS_STREAM = 1
"""Seed component that separates a loss's random numbers from those of its batch."""


@dataclass(frozen=True)
class LoopOptions:
    """Budget, optimizer and schedule. The budget ends after `steps` or `minutes`, whichever is set and comes first."""

    batch_size: int = 8
    """Samples per batch, in each process."""
    accumulate: int = 1
    """Batches per update, in each process; their gradients are averaged."""
    workers: int = 0
    """Processes per training process that make its batches ahead; 0 makes them between the steps. The batches are the
    same, except that progress by the clock is read up to three batches of each worker earlier."""
    precision: Literal["float32", "float16", "bfloat16"] = "float32"
    """Number format of the computation (autocast); parameters and their averages stay in float32."""
    learning_rate: float = 1e-3
    """Peak learning rate, after the warm-up."""
    final_learning_rate: float = 0.02
    """Final learning rate, as a fraction of the peak."""
    warmup_steps: int = 100
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    decay_from: float = 0.0
    """Fraction of the budget after which the learning rate decays."""
    weight_decay: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    gradient_clip: float = 1.0
    """Largest norm of the gradient over all parameters."""
    ema_decay: float = 0.998
    """Decay of the averaged weights per step; smaller early in the run."""
    steps: int | None = None
    minutes: float | None = None
    """Total wall-clock minutes of training, including the runs that were resumed."""
    checkpoint_minutes: float = 3.0
    checkpoint_steps: int | None = None
    """Steps between checkpoints, in addition to `checkpoint_minutes`; None = by time only."""
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


@runtime_checkable
class Task(Protocol):
    """A network with its batches, loss and evaluation.

    `network` holds every trained parameter. Batches belong on its device (`device_of`).
    """

    network: nn.Module

    def batch(self, rng: np.random.Generator, progress: float) -> Any:
        """One batch, on the CPU. All randomness comes from `rng`; `progress` is 0..1 of the budget.

        It may run in a worker process, so it must not touch `network` or any device.
        """

    def loss(self, batch: Any, rng: np.random.Generator, progress: float) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The batch's loss, and scalar metrics for the curve. Further randomness comes from `rng`.

        The loop seeds torch's global generator (dropout) per step. Metrics stay tensors, because reading one would make
        the CPU wait for the device in every step.
        """

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Metrics of the averaged network (eval mode, no gradient) on development data."""

    def export(self, network: nn.Module) -> tuple[dict[str, Tensor], dict[str, object]]:
        """The tensors of the averaged network to publish, and the header of their file."""


@dataclass(frozen=True)
class TrainingResult:
    """Result of a training run."""

    steps: int
    seconds: float
    metrics: dict[str, float]
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

    Writes the checkpoint, the curve (CSV and SVG) and the float16 weights of the EMA into `output`.

    `describe` (plain data: the options that made the task) is stored in the checkpoint, and a resumed run must pass the
    same. Raises UsageError if `output` holds a run and `resume` is false.
    """
    run = _Run(task, options, output, describe or {}, on_log)
    run.begin(resume)
    try:
        while (progress := run.progress()) < 1.0:
            run.step(progress)
            if run.accelerator.is_main_process:
                run.evaluate_and_save_when_due()
    finally:
        del run.batches  # ends the workers, which hold a reference to the run and would outlive it
    return run.finish()


def description(options: object) -> dict[str, object]:
    """The options that a resumed run must repeat: a training's options without its length and its workers."""
    described = to_mapping(options)
    described["loop"] = {k: v for k, v in described["loop"].items() if k not in ("steps", "minutes", "workers")}
    return {"training": described}


def device_of(network: nn.Module) -> torch.device:
    """The device of a network's parameters; the CPU for a network without any."""
    return next(network.parameters(), torch.empty(0)).device


class _LossModule(nn.Module):
    """A task's loss as a module, so that the wrapper for several processes (DDP) covers a whole step."""

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
    # Samples without conditions leave the reference unused, and frozen layers get no gradient.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    accelerator = Accelerator(mixed_precision=names[precision], kwargs_handlers=[unused])
    if accelerator.num_processes > 1:
        atexit.register(_destroy_process_group)
    return accelerator


def _destroy_process_group() -> None:
    """Shut the process group down cleanly.

    Otherwise its threads may abort this process at interpreter exit, and torchrun would then end all processes.
    """
    gc.collect()  # a finished run is part of a reference cycle, and its model keeps the group alive
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class _Run:
    """A training in progress: network, EMA, optimizer, step and clock."""

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
        self.model, self.optimizer = self.accelerator.prepare(_LossModule(task), optimizer)
        self.average = copy.deepcopy(task.network).requires_grad_(False).eval()
        self.steps_done, self.seconds_before, self.bad_steps = 0, 0.0, 0
        self.metrics: dict[str, float] = {}
        self.measured_step = -1
        self.last_progress = 0.0

    def begin(self, resume: bool) -> None:
        """Resume from the checkpoint in `output`, or start a new run there."""
        path = self.output / CHECKPOINT_NAME
        exists = path.exists()
        self.accelerator.wait_for_everyone()
        if exists and not resume:
            raise UsageError(f"{self.output} holds a training run already; continue it with --resume or choose another")
        self.output.mkdir(parents=True, exist_ok=True)
        if exists:
            state = Checkpoint.read(path)
            state.check_description(self.describe, path)
            self.task.network.load_state_dict(state.network)
            self.average.load_state_dict(state.average)
            self.optimizer.load_state_dict(state.optimizer)
            if self.accelerator.scaler is not None and state.scaler:
                self.accelerator.scaler.load_state_dict(state.scaler)
            self.steps_done, self.seconds_before, self.metrics = state.step, state.seconds, state.metrics
        if self.accelerator.is_main_process:
            if exists:
                self.on_log(f"resumed at step {self.steps_done}")
            self.curve = Curve(self.output / "curve.csv", self.steps_done)
            self.evaluations = Curve(self.output / "evaluation.csv", self.steps_done)
        self.started = self.saved = self.evaluated = time.monotonic()
        self.progress()  # sets the progress that the first batches are requested with
        self.batches = iterate_batches(self.task.batch, self._batch_requests(), self.options.workers)

    def _batch_requests(self) -> Iterator[tuple[list[int], float]]:
        """Seed and progress of every batch of this process, in order, without end.

        Workers are ahead of the training: with a wall-clock budget, the progress is the latest known one.
        """
        options, accelerator = self.options, self.accelerator
        for step in itertools.count(self.steps_done):
            progress = max(self.last_progress, step / options.steps if options.steps else 0.0)
            for number in range(options.accumulate):
                position = number * accelerator.num_processes + accelerator.process_index
                yield [options.seed, step, position], min(1.0, progress)

    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started

    def progress(self) -> float:
        """Fraction of the budget spent, 0..1, by the clock of the main process."""
        parts = [0.0]
        if self.options.steps is not None:
            parts.append(self.steps_done / max(1, self.options.steps))
        if self.options.minutes is not None:
            parts.append(self.seconds() / (60.0 * max(1e-9, self.options.minutes)))
        self.last_progress = self._from_main_process(min(1.0, max(parts)))
        return self.last_progress

    def _from_main_process(self, value: float) -> float:
        """The main process's value, broadcast to every process."""
        if self.accelerator.num_processes == 1:
            return value
        from accelerate.utils import broadcast

        exact = torch.tensor([value], dtype=torch.float64, device=self.accelerator.device)
        return float(broadcast(exact))

    def step(self, progress: float) -> None:
        """One parameter update from the batches of (seed, step)."""
        step, accelerator = self.steps_done, self.accelerator
        rate = learning_rate(self.options, step, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.task.network.train()
        loss, metrics = self._gradients(progress)
        norm = torch.as_tensor(accelerator.clip_grad_norm_(self.parameters, self.options.gradient_clip))
        finite = bool(torch.isfinite(norm))
        if finite or accelerator.scaler is not None:  # the scaler skips such steps itself, and adapts to them
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
                **{name: float(value) for name, value in metrics.items()},
            }
            self.curve.add(self.steps_done, self.seconds(), row)
            self.on_log(_line(self.steps_done, self.seconds(), row))

    def _gradients(self, progress: float) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Accumulate a step's mean gradient; returns this process's mean loss and the metrics of its last batch."""
        accelerator, count = self.accelerator, self.options.accumulate
        total = torch.zeros((), device=accelerator.device)
        metrics: Mapping[str, Tensor] = {}
        for number in range(count):
            seed, batch = next(self.batches)
            rng = np.random.default_rng([*seed, LOSS_STREAM])
            torch.manual_seed(int(rng.integers(2**63)))
            last = number == count - 1
            with nullcontext() if last else accelerator.no_sync(self.model), accelerator.autocast():
                loss, metrics = self.model(batch, rng, progress)
            accelerator.backward(loss / count)
            total += loss.detach() / count
        return total, metrics

    def evaluate_and_save_when_due(self) -> None:
        """Evaluate, and write a checkpoint, at their intervals."""
        now, every = time.monotonic(), self.options.checkpoint_steps
        if now - self.evaluated >= 60.0 * self.options.evaluate_minutes:
            self.evaluate()
        due = now - self.saved >= 60.0 * self.options.checkpoint_minutes
        if due or (every is not None and self.steps_done % every == 0):
            self.save()

    def evaluate(self) -> None:
        with torch.no_grad():
            self.metrics = self.task.evaluate(self.average)
        self.evaluations.add(self.steps_done, self.seconds(), self.metrics)
        self.on_log("evaluation: " + _line(self.steps_done, self.seconds(), self.metrics))
        self.evaluated, self.measured_step = time.monotonic(), self.steps_done

    def save(self) -> None:
        state = Checkpoint(
            step=self.steps_done,
            seconds=self.seconds(),
            network=self.task.network.state_dict(),
            average=self.average.state_dict(),
            optimizer=self.optimizer.state_dict(),
            scaler={} if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
            metrics=self.metrics,
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
            "measured": self.metrics,
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
        return TrainingResult(self.steps_done, self.seconds(), self.metrics, self.output / WEIGHTS_NAME)


def _line(step: int, seconds: float, metrics: dict[str, float]) -> str:
    listed = "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())
    return f"step {step}  {seconds / 60:.1f} min  {listed}"
