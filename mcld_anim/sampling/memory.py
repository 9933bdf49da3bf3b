"""`--memory`: how many frames at a time fit into the device's memory, and whether all networks do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from mcld_anim.core.errors import UsageError
from mcld_anim.model.footprint import Footprint, footprint
from mcld_anim.model.vae_tiles import TILE
from mcld_anim.options.model import ModelOptions
from mcld_anim.sampling.settings import SamplingSettings

RESERVE = 800_000_000
"""Bytes for what is not counted: a CUDA context, the workspaces of kernels, estimators. An estimate, not measured."""


@dataclass(frozen=True)
class MemoryPlan:
    """What fits."""

    batch_size: int  # frames in the denoiser at a time
    decoded: int  # frames in the VAE's decoder at a time
    vae_tiling: bool
    offload: bool  # networks rest in main memory
    bytes: int  # at the peak, with the reserve

    def __str__(self) -> str:
        tiles = " in tiles" if self.vae_tiling else ""
        rest = ", with the networks that are not used in main memory (as --offload)" if self.offload else ""
        return (
            f"batches of {self.batch_size}, decoded {self.decoded} at a time{tiles}{rest}, "
            f"take {self.bytes / 1e9:.1f} GB by calculation"
        )


def plan_memory(
    budget: int,
    model: ModelOptions,
    dtype: torch.dtype,
    settings: SamplingSettings,
    batch_size: int,
    ways: Sequence[bool] = (False,),
) -> MemoryPlan:
    """The largest batch up to `batch_size`, and then the most decoded frames, within `budget` bytes.

    Tiles are taken if the settings ask for them or if nothing else fits. ways: without or with networks that rest in
    main memory, in the order in which they are tried. Raises UsageError if nothing fits.
    """
    guided = settings.guidance > 1
    for offload in ways:
        for tiled in (True,) if settings.vae_tiling else (False, True):
            counted = footprint(model, dtype, guided, TILE if tiled else None)
            for batch in range(batch_size, 0, -1):
                for decoded in range(batch, 0, -1):
                    needed = counted.at(batch, decoded, offload) + RESERVE
                    if needed <= budget:
                        return MemoryPlan(batch, decoded, tiled, offload, needed)
    raise UsageError(_too_little(budget, counted, dtype, offload))


def _too_little(budget: int, counted: Footprint, dtype: torch.dtype, offload: bool) -> str:
    least = (counted.at(1, 1, offload) + RESERVE) / 1e9
    halves = " or --dtype bfloat16" if dtype == torch.float32 else ""
    weights = max(counted.parts.values()) if offload else counted.weights
    name = str(dtype).removeprefix("torch.")
    return (
        f"--memory {budget / 1e9:g}GB is too little: a single frame takes {least:.1f} GB in {name}, of which the "
        f"weights are {weights / 1e9:.1f}; give more, or --model tiny{halves}"
    )
