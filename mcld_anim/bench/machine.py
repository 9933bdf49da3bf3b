"""What the machine itself can do: the rates that a network's speed is measured against."""

from __future__ import annotations

import platform
from typing import Any

import torch

from mcld_anim.bench.timing import Timing, timed
from mcld_anim.core.device import choose_dtype
from mcld_anim.core.version import package_versions

SIDE = {"cpu": 3072, "cuda": 8192, "mps": 4096}
"""Side of the square matrices by kind of device: large enough that nothing but multiplying takes time."""
COPIED_BYTES = 512 * 2**20
"""Larger than the caches."""


def matrix_gflops(
    device: torch.device, dtype: torch.dtype, repeats: int, side: int | None = None
) -> tuple[float, Timing]:
    """Rate of multiplying two square matrices in 1e9 operations a second, from the median, with its timing.

    `side` None: that of the kind of device."""
    side = SIDE[device.type] if side is None else side
    one, other = (torch.full((side, side), 0.5, device=device, dtype=dtype) for _ in range(2))
    timing = timed(lambda: one @ other, repeats, device)
    return 2 * side**3 / timing.median / 1e9, timing


def memory_gigabytes(device: torch.device, repeats: int) -> tuple[float, Timing]:
    """Rate of copying in 1e9 bytes a second, read and written ones counted, from the median, with its timing."""
    one = torch.ones(COPIED_BYTES, device=device, dtype=torch.uint8)
    other = torch.empty_like(one)
    timing = timed(lambda: other.copy_(one), repeats, device)
    return 2 * COPIED_BYTES / timing.median / 1e9, timing


def formats(device: torch.device) -> dict[str, torch.dtype]:
    """The number formats worth measuring, by name: float32, and last the one that `--dtype auto` takes, if another."""
    auto = choose_dtype("auto", device)
    return {str(one).removeprefix("torch."): one for one in dict.fromkeys((torch.float32, auto))}


def described(device: torch.device) -> dict[str, Any]:
    """The machine, for JSON."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": str(device),
        "name": name,
        "system": platform.platform(),
        "threads": torch.get_num_threads(),
        "versions": package_versions(("mcld-anim", "torch", "diffusers")),
    }
