"""What a job would be, before it starts: model, size, frames, and time and memory by earlier results.

Before there is a result, those of the embedded model on a CPU are told by what it took on a known machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch

from mcld_anim.bench.machine import matrix_gflops
from mcld_anim.core.device import choose_device
from mcld_anim.core.tables import read_json
from mcld_anim.model.choose import choose_densepose, choose_model, find_model
from mcld_anim.options.run import RunOptions
from mcld_anim.run.photo import LARGEST_SIDE, LONG_SIDE
from mcld_anim.ui.job import Job
from mcld_anim.video.probe import frame_count, probe

ONCE = ("start", "fetched networks", "first look", "models", "source")
"""Stages whose time does not grow with the frames."""


@dataclass(frozen=True)
class Plan:
    """A job, as far as it can be told from its options and the headers of its inputs."""

    model: str
    device: str
    size: str  # of the frames, for people
    frames: int
    seconds: float | None  # by an earlier result alike, else by `USUAL`; None: neither fits
    memory: int | None  # bytes of the process, likewise
    is_guess: bool  # whether both are by `USUAL`


@dataclass(frozen=True)
class Cost:
    """What a result took, as its OUT.run.json tells it."""

    once: float  # seconds
    each: float  # seconds a frame
    memory: int


USUAL = {"photo": Cost(6.8, 0.15, 920_000_000), None: Cost(8.5, 0.47, 1_110_000_000)}
"""By framing, the embedded model's cost on a CPU of `USUAL_RATE`: README's first command, as it is and with `--framing
fixed`."""
USUAL_RATE = 165.0
"""1e9 operations a second in products of float32 matrices."""
SIDE, TRIES = 1024, 5
"""Of the matrices by which this machine's rate is measured."""


def plan_of(options: RunOptions, jobs: Sequence[Job]) -> Plan:
    """The plan of a job; `jobs`: earlier ones, the newest first. Raises WeightsError for a model that is not here."""
    device = choose_device(options.device)
    model = find_model(choose_model(options.model, device))
    in_photo = options.may_keep_photo and choose_densepose(options.densepose, device, model) == "body"
    height, width = model.options.frame_size
    sides = f"{LONG_SIDE} to {LARGEST_SIDE}" if options.long_side is None else str(options.long_side)
    size = f"{sides} pixels on the longer side" if in_photo else f"{width}x{height} pixels"
    frames = frame_count(probe(options.driving), *options.grid)
    alike = {"model": model.name, "device": str(device), "framing": "photo" if in_photo else None}
    cost = next((found for job in jobs if (found := _earlier(job, alike)) is not None), None)
    is_guess = cost is None and model.name == "tiny" and device.type == "cpu"
    slower = 1.0
    if is_guess:
        cost, slower = USUAL[alike["framing"]], USUAL_RATE / _matrix_rate()
    if cost is None:
        return Plan(model.name, str(device), size, frames, None, None, is_guess)
    seconds = slower * (cost.once + cost.each * frames)
    return Plan(model.name, str(device), size, frames, seconds, cost.memory, is_guess)


@cache
def _matrix_rate() -> float:
    """1e9 operations a second in products of float32 matrices on the CPU."""
    return matrix_gflops(torch.device("cpu"), torch.float32, TRIES, SIDE)[0]


def _earlier(job: Job, alike: dict[str, str | None]) -> Cost | None:
    """What a job took, if it is done and made in the same way."""
    if job.state != "done" or job.verb != "run" or not job.result:
        return None
    result = job.folder / job.result
    try:
        record = read_json(result.with_suffix(".run.json"))
        chosen, seconds = record["options"], record["seconds"]
        framing = "photo" if chosen["framing"] == "photo" else None
        if {"model": chosen["model"], "device": chosen["device"], "framing": framing} != alike:
            return None
        once = sum(seconds.get(stage, 0.0) for stage in ONCE)
        return Cost(once, (seconds["total"] - once) / job.frames, max(record["peak_memory_bytes"].values()))
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError, AttributeError):  # deleted, or changed
        return None
