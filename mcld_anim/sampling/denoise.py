"""The sampling loop: a deterministic sampler over any function that predicts v."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor

from mcld_anim.core.errors import UsageError
from mcld_anim.core.tensors import Latents
from mcld_anim.sampling.schedule import Sampler

Prediction = Tensor | tuple[Tensor, Tensor]
"""v of the frames, or (unconditional, conditional) v for classifier-free guidance."""


@dataclass(frozen=True)
class StepBlending:
    """The blending of a batch of frames at each sampling step, as functions of (F, C, h, w) and the step's number."""

    clean: Callable[[Latents, int], Latents] | None = None  # of the clean latents' estimate
    latents: Callable[[Latents, int], Latents] | None = None  # of the latents after the step


def guide(prediction: Prediction, guidance: float) -> Tensor:
    """u + s * (c - u) (Ho & Salimans 2022, arXiv 2207.12598, equation 6 with s = 1 + w); s <= 1 needs no u."""
    if isinstance(prediction, Tensor):
        if guidance > 1:
            raise UsageError(
                f"guidance {guidance:g} needs the unconditional prediction too: ask the denoiser for guided "
                "rows, or set guidance to 1"
            )
        return prediction
    unconditional, conditional = prediction
    return conditional if guidance <= 1 else unconditional + guidance * (conditional - unconditional)


@torch.no_grad()
def denoise(
    predict: Callable[[Tensor, int], Prediction],
    noise: Latents,
    scheduler: Sampler,
    steps: int,
    guidance: float | Callable[[float], float],
    blending: StepBlending | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Latents:
    """Latents of the frames from their start noise, in `steps` evaluations of `predict(latents, timestep)`.

    The scheduler's own step is used, so DDIM's previous timestep is t - 1000 // steps as in the published sampler.
    `guidance`: its scale, or that at a share of the noise steps. `blending` may change the estimate of the clean
    latents within each step, and the latents after it. DDIM (with eta 0) then changes z_{t-1} by
    sqrt(alpha_bar_{t-1}) times as much; the others, which combine the estimates of several steps, go on with the
    changed one. `on_step(done, steps)` is called after each step.
    """
    if steps < 1:
        raise UsageError(f"--steps {steps}: expected at least 1")
    scheduler = copy.deepcopy(scheduler)
    scheduler.set_timesteps(steps)
    latents, train_steps = noise * scheduler.init_noise_sigma, scheduler.config.num_train_timesteps
    for step, timestep in enumerate(int(t) for t in scheduler.timesteps):
        scale = guidance(timestep / train_steps) if callable(guidance) else guidance
        prediction = guide(predict(latents, timestep), scale)
        change = None if blending is None or blending.clean is None else _at(step, blending.clean)
        if isinstance(scheduler, DDIMScheduler):
            latents = _ddim_step(scheduler, prediction, timestep, latents, change)
        else:
            if change is not None:
                prediction = _changed(scheduler, prediction, timestep, latents, change)
            latents = scheduler.step(prediction, timestep, latents).prev_sample
        if blending is not None and blending.latents is not None:
            latents = blending.latents(latents, step)
        if on_step is not None:
            on_step(step + 1, steps)
    return latents


def _at(step: int, clean: Callable[[Latents, int], Latents]) -> Callable[[Latents], Latents]:
    return lambda latents: clean(latents, step)


def _ddim_step(
    scheduler: DDIMScheduler,
    prediction: Tensor,
    timestep: int,
    latents: Latents,
    change: Callable[[Latents], Latents] | None,
) -> Latents:
    """The latents after a step of DDIM, in which `change` is applied to the clean latents' estimate."""
    made = scheduler.step(prediction, timestep, latents, eta=0.0)
    if change is None:
        return made.prev_sample
    clean = made.pred_original_sample
    return made.prev_sample + signal_after(scheduler, timestep) * (change(clean) - clean)


def _changed(
    scheduler: Sampler, prediction: Tensor, timestep: int, latents: Latents, change: Callable[[Latents], Latents]
) -> Tensor:
    """The prediction whose estimate of the clean latents is the changed one of `prediction`."""
    alpha_bar = scheduler.alphas_cumprod[timestep]  # one number on the CPU, which no device is waited for to take
    signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    if scheduler.config.prediction_type == "epsilon":
        return (latents - signal * change((latents - noise * prediction) / signal)) / noise
    return (signal * latents - change(signal * latents - noise * prediction)) / noise


def signal_after(scheduler: DDIMScheduler, timestep: int) -> float:
    """sqrt(alpha_bar) at the timestep after a DDIM step from `timestep`."""
    later = timestep - scheduler.config.num_train_timesteps // scheduler.num_inference_steps
    alpha_bar = scheduler.alphas_cumprod[later] if later >= 0 else scheduler.final_alpha_cumprod
    return float(alpha_bar) ** 0.5
