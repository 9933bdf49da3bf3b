"""`--memory` and `--offload` of a run: where the networks rest, decided before they are loaded, and how many frames are
made at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.model.choose import choose_model, find_model
from mcld_anim.options.model import ModelOptions
from mcld_anim.options.run import RunOptions, SynthesisOptions
from mcld_anim.run.checks import RunPlan

if TYPE_CHECKING:
    import torch

    from mcld_anim.model.load import LoadedModels
    from mcld_anim.sampling.memory import MemoryPlan
    from mcld_anim.sampling.settings import SamplingSettings


def offloads(options: SynthesisOptions, stages: Stages) -> bool:
    """Whether networks rest in main memory: if that is asked for, or if nothing else fits into `--memory`.

    Only a CUDA card has memory of its own; elsewhere the option has no effect, which is told.
    """
    from mcld_anim.core.device import choose_device, choose_dtype

    device = choose_device(options.device)
    if device.type != "cuda":
        if options.offload:
            message = f"--offload without effect: on --device {device.type} networks are in main memory"
            stages.emit(Event("options_without_effect", message))
        return False
    if options.offload or not isinstance(options, RunOptions) or options.memory_bytes is None:
        return options.offload
    from mcld_anim.sampling.settings import sampling_settings

    model = find_model(choose_model(options.model, device)).options
    dtype = choose_dtype(options.dtype, device)
    return fitting(options, sampling_settings(options, model), model, dtype, device).offload


def fitting(
    options: RunOptions, settings: SamplingSettings, model: ModelOptions, dtype: torch.dtype, device: torch.device
) -> MemoryPlan:
    """What fits into `--memory`. Raises UsageError if nothing does."""
    from mcld_anim.sampling.memory import plan_memory  # it imports diffusers

    assert options.memory_bytes is not None
    ways = (False,) if device.type != "cuda" else (True,) if options.offload else (False, True)
    return plan_memory(options.memory_bytes, model, dtype, settings, options.batch_size, ways)


def within_memory(
    plan: RunPlan, settings: SamplingSettings, models: LoadedModels, stages: Stages
) -> tuple[RunPlan, SamplingSettings]:
    """The plan and the settings with as many frames at a time as `--memory` holds, which is told."""
    options = plan.options
    found = fitting(options, settings, models.options, models.dtype, models.device)
    stages.emit(Event("memory_plan", f"--memory {options.memory}: {found}"))
    chosen = replace(options, batch_size=found.batch_size)
    return replace(plan, options=chosen), replace(
        settings, decoded=found.decoded, vae_tiling=found.vae_tiling, graphs=False
    )
