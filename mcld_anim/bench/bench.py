"""The story of `mcld-anim bench`: the machine's rates, the networks of both models, and the whole command."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mcld_anim.bench import machine
from mcld_anim.bench.command import command_runs
from mcld_anim.bench.frames import preset_times
from mcld_anim.bench.networks import NetworkTimes, network_times
from mcld_anim.core.device import choose_device, peak_memory_bytes
from mcld_anim.core.errors import UsageError
from mcld_anim.core.stages import Progress, ignore_progress
from mcld_anim.core.tables import read_json
from mcld_anim.options.checks import check_choice, check_range
from mcld_anim.options.estimators import DEVICES
from mcld_anim.options.model import load_model_options
from mcld_anim.options.preset import PRESETS

PARTS = ("machine", "embedded", "published", "frames", "command")
SLOW_ON_CPU = ("frames",)
"""Parts that a CPU measures only if they are asked for: a frame of the published size takes many minutes there."""
MODELS: Mapping[str, str] = {"embedded": "tiny", "published": "mcld_sd15"}
"""The measured architectures by part."""

BATCHES = 4
"""Batches of `frames`, after one for warm-up."""

PARTS_OF_A_MODEL = ("weights", "source", "step", "batch", "decode")
"""In the order in which they are measured."""


@dataclass(frozen=True)
class BenchOptions:
    """What is measured."""

    parts: tuple[str, ...] | None = None  # of `PARTS`; None: all but those that are slow on a CPU there
    device: str = "auto"
    repeats: int = 5
    frames: int = 16  # of the command's clip
    batch: int = 4  # frames of the batched step, and of the batches of `frames`
    presets: tuple[str, ...] = PRESETS  # of `frames`
    compile: bool = False  # whether what makes `frames` is compiled
    quick: bool = False  # what takes long once, without a warm-up

    def __post_init__(self) -> None:
        for part in self.parts or ():
            check_choice("--part", part, PARTS)
        for preset in self.presets:
            check_choice("--preset", preset, PRESETS)
        check_choice("--device", self.device, DEVICES)
        check_range("--repeats", self.repeats, 1, 1000)
        check_range("--frames", self.frames, 1, None)
        check_range("--batch", self.batch, 2, 64)


def bench(options: BenchOptions, progress: Progress = ignore_progress) -> dict[str, Any]:
    """Everything that was measured, for JSON.

    By number format: `matrix_gflops`; of the published model's guided step `step_seconds` and `step_share`, the share
    of that rate which it reaches. In guided steps of the format that `--dtype auto` takes: `source_in_steps`,
    `decode_in_steps`. `frames`: `PresetTimes` by preset. `peak_bytes`: of this process. A part that is not asked for is
    missing.
    """
    device = choose_device(options.device)
    parts = options.parts or tuple(one for one in PARTS if device.type != "cpu" or one not in SLOW_ON_CPU)
    formats = machine.formats(device)
    found: dict[str, Any] = {"machine": machine.described(device), "format": next(reversed(formats))}
    if "machine" in parts or "published" in parts:
        progress("machine", 0, len(formats) + 1)
        rates = {}
        for number, (name, dtype) in enumerate(formats.items(), 1):
            rates[name] = machine.matrix_gflops(device, dtype, options.repeats)
            progress("machine", number, len(formats) + 1)
        memory, timing = machine.memory_gigabytes(device, options.repeats)
        progress("machine", len(formats) + 1, len(formats) + 1)
        found["matrix_gflops"] = {name: rate for name, (rate, _) in rates.items()}
        found["matrix"] = {name: one.described() for name, (_, one) in rates.items()}
        found["memory_gbps"], found["memory"] = memory, timing.described()
    if "command" in parts:
        with tempfile.TemporaryDirectory(prefix="mcld-anim-bench-") as folder:
            flags = ("--device", device.type)
            repeats = 1 if options.quick else options.repeats
            runs = command_runs(Path(folder), options.frames, repeats, flags, lambda *at: progress("command", *at))
        found["command"] = runs.described()
    for part in ("embedded", "published"):
        if part in parts:
            model, found[part] = load_model_options(MODELS[part]), {}
            quick = options.quick and part == "published" and device.type == "cpu"
            for name, dtype in formats.items():
                on_part = _counted(progress, f"{part} {name}")
                measured = network_times(model, device, dtype, options.repeats, options.batch, quick, on_part)
                progress(f"{part} {name}", len(PARTS_OF_A_MODEL), len(PARTS_OF_A_MODEL))
                found[part][name] = measured.described()
                if part == "published":
                    _add_summary(found, name, measured)
    if "frames" in parts:
        found["frames"] = _frames(options, device, formats[found["format"]], progress)
    found["peak_bytes"] = peak_memory_bytes(device)
    return found


def _frames(
    options: BenchOptions, device: torch.device, dtype: torch.dtype, progress: Progress
) -> dict[str, dict[str, Any]]:
    """`preset_times` of the published size by preset, for JSON."""
    model, on_preset = load_model_options(MODELS["published"]), partial(progress, "frames")
    batch, batches = (1, 1) if device.type == "cpu" else (options.batch, 2 if options.quick else BATCHES)
    measured = preset_times(model, device, dtype, options.presets, batch, batch * batches, options.compile, on_preset)
    return {name: one.described() for name, one in measured.items()}


def compared(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, float]:
    """New over old, for every number that both have, by its path."""
    before = dict(_numbers(old))
    return {path: number / before[path] for path, number in _numbers(new) if before.get(path)}


def read_bench(path: Path) -> dict[str, Any]:
    """What an earlier `bench --json` wrote. Raises UsageError if it is something else."""
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"--compare {path} cannot be read ({error}): give a file that bench --json wrote") from error
    if not isinstance(content, dict) or "peak_bytes" not in content:
        raise UsageError(f"--compare {path} is no benchmark: give a file that bench --json wrote")
    return content


def _add_summary(found: dict[str, Any], name: str, measured: NetworkTimes) -> None:
    """The figures of the published model at the top, by format."""
    found.setdefault("step_seconds", {})[name] = measured.step.median
    found.setdefault("step_share", {})[name] = measured.gflops / found["matrix_gflops"][name]
    if name == found["format"]:
        found["source_in_steps"], found["decode_in_steps"] = measured.source_in_steps, measured.decode_in_steps


def _counted(progress: Progress, stage: str) -> Callable[[str], None]:
    return lambda part: progress(stage, PARTS_OF_A_MODEL.index(part), len(PARTS_OF_A_MODEL))


def _numbers(content: Mapping[str, Any], path: str = "") -> list[tuple[str, float]]:
    found = []
    for name, value in content.items():
        here = f"{path}.{name}" if path else name
        if name == "spread":
            continue
        if isinstance(value, Mapping):
            found += _numbers(value, here)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found.append((here, float(value)))
    return found
