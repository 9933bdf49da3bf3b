"""The learning-rate schedule, and the moving average of the weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

if TYPE_CHECKING:
    from mcld_anim.train.loop import LoopOptions


def learning_rate(options: LoopOptions, step: int, progress: float) -> float:
    """Learning rate of step `step` (from 0) after `progress` (0..1) of the budget."""
    warm = min(1.0, (step + 1) / max(1, options.warmup_steps))
    falling = min(1.0, max(0.0, (progress - options.decay_from) / (1.0 - options.decay_from)))
    shape = {
        "constant": 1.0,
        "linear": 1.0 - falling,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * falling)),
    }[options.schedule]
    low = options.final_learning_rate if options.schedule != "constant" else 0.0
    return options.learning_rate * warm * (low + (1.0 - low) * shape)


def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Update the exponential moving average of the parameters; buffers (running statistics) are copied.

    Early in the run the average covers only about a tenth of the steps: decay = min(decay, (1+i)/(10+i)).
    """
    move_towards = get_ema_multi_avg_fn(min(decay, (1.0 + step) / (10.0 + step)))
    with torch.no_grad():
        move_towards(list(average.parameters()), list(network.parameters()), None)
        for kept, current in zip(average.buffers(), network.buffers(), strict=True):
            kept.copy_(current)
