"""`--memory`: how many frames at a time fit into the device's memory."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mcld_anim.core.errors import UsageError
from mcld_anim.model.footprint import Footprint, footprint
from mcld_anim.model.vae_tiles import TILE
from mcld_anim.options.model import ModelOptions

RESERVE = 800_000_000
"""Bytes for what is not counted: a CUDA context, the workspaces of kernels, estimators. An estimate, not measured."""


@dataclass(frozen=True)
class MemoryPlan:
    """What fits."""

    batch_size: int  # frames in the denoiser at a time
    decoded: int  # frames in the VAE's decoder at a time
    vae_tiling: bool
    bytes: int  # at the peak, with the reserve

    def __str__(self) -> str:
        tiles = " in tiles" if self.vae_tiling else ""
        return (
            f"batches of {self.batch_size}, decoded {self.decoded} at a time{tiles}, "
            f"take {self.bytes / 1e9:.1f} GB by calculation"
        )


def plan_memory(
    budget: int, model: ModelOptions, dtype: torch.dtype, guided: bool, batch_size: int, vae_tiling: bool
) -> MemoryPlan:
    """The largest batch up to `batch_size`, and then the most decoded frames, within `budget` bytes.

    Tiles are taken if they are asked for or if nothing else fits. Raises UsageError if that does not either.
    """
    for tiled in (True,) if vae_tiling else (False, True):
        counted = footprint(model, dtype, guided, TILE if tiled else None)
        for batch in range(batch_size, 0, -1):
            for decoded in range(batch, 0, -1):
                needed = counted.at(batch, decoded) + RESERVE
                if needed <= budget:
                    return MemoryPlan(batch, decoded, tiled, needed)
    raise UsageError(_too_little(budget, counted, dtype))


def _too_little(budget: int, counted: Footprint, dtype: torch.dtype) -> str:
    least = (counted.at(1, 1) + RESERVE) / 1e9
    halves = " or --dtype bfloat16" if dtype == torch.float32 else ""
    name = str(dtype).removeprefix("torch.")
    return (
        f"--memory {budget / 1e9:g}GB is too little: a single frame takes {least:.1f} GB in {name}, of which the "
        f"weights are {counted.weights / 1e9:.1f}; give more, or --model tiny{halves}"
    )
