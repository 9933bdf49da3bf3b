"""How much a model's denoiser computes, counted on torch's meta device, where nothing is computed."""

from __future__ import annotations

from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from mcld_anim.model.feature_reuse import FeatureReuse
from mcld_anim.model.footprint import denoiser_step, meta_appearance, meta_model
from mcld_anim.options.model import ModelOptions


@cache
@torch.no_grad()
def step_operations(options: ModelOptions, guided: bool = True, shallow: bool = False) -> int:
    """Multiplications and additions of a denoiser's step for one frame; `shallow`: with the deep features of the last
    one."""
    mcld = meta_model(options)
    step = denoiser_step(mcld, meta_appearance(mcld), guided=guided, reuse=FeatureReuse(2) if shallow else None)
    if shallow:
        step()
    with FlopCounterMode(display=False) as counter:
        step()
    return int(counter.get_total_flops())
