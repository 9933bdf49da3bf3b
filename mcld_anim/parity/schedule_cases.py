"""Case s: noise schedules, timesteps and DDIM traces. Tolerances: README of the golden data."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mcld_anim.options.model import ScheduleOptions
from mcld_anim.parity.golden import Comparison, Golden, compare, replays
from mcld_anim.parity.published_config import schedule_options
from mcld_anim.sampling.denoise import StepBlending, denoise
from mcld_anim.sampling.schedule import make_scheduler

SCHEDULE = 1e-5


@replays("s_scheduler*.safetensors", also=["s_scheduler*.json"])
def scheduler(golden: Golden, case: str) -> Iterator[Comparison]:
    """alphas_cumprod, the timesteps of every step count, and DDIM traces under a constant network output."""
    data = golden.tensors(case)
    for name, recorded in golden.json(case).items():
        ours = make_scheduler(schedule_options(recorded))
        yield compare(f"alphas_cumprod {name}", ours.alphas_cumprod, data[f"alphas_cumprod.{name}"], SCHEDULE)
        for key in sorted(key for key in data if key.startswith(f"timesteps.{name}.")):
            ours.set_timesteps(int(key.rpartition(".")[2]))
            yield compare(key, ours.timesteps, data[key], 0)
        for key in sorted(key for key in data if key.startswith(f"trace.{name}.")):
            yield compare(key, _trace(data, name, len(data[key]), schedule_options(recorded)), data[key], SCHEDULE)


def _trace(data: dict[str, Tensor], name: str, steps: int, options: ScheduleOptions) -> Tensor:
    """The latents after each step of this project's sampling loop."""
    kept: list[Tensor] = []

    def keep(latents: Tensor, _step: int) -> Tensor:
        kept.append(latents)
        return latents

    output = data[f"model_output.{name}"]
    denoise(
        lambda latents, timestep: output,
        data[f"start.{name}"],
        make_scheduler(options),
        steps,
        1.0,
        StepBlending(latents=keep),
    )
    return torch.stack(kept)
