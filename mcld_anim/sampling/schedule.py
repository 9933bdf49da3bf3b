"""The noise schedule: betas rescaled to zero terminal SNR, v-prediction, trailing timesteps.

The published sampler uses a "linear" beta schedule although its networks were trained with "scaled_linear"; both are
options, and one scheduler serves sampling and training.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from jaxtyping import Float, Int
from torch import Tensor

from mcld_anim.core.errors import UsageError
from mcld_anim.options.model import ScheduleOptions

Sampler: TypeAlias = DDIMScheduler | DPMSolverMultistepScheduler | UniPCMultistepScheduler


def make_sampler(options: ScheduleOptions, name: str = "ddim") -> Sampler:
    """diffusers' scheduler of `--sampler` for these options.

    "dpm++": DPM-Solver++ (Lu et al. 2022, arXiv 2211.01095), "unipc": UniPC (Zhao et al. 2023, arXiv 2302.04867), both
    of second order and from earlier steps, so that a step costs one evaluation too. Their last step is DDIM's.
    """
    if name == "ddim":
        return make_scheduler(options)
    solvers = {"dpm++": DPMSolverMultistepScheduler, "unipc": UniPCMultistepScheduler}
    if name not in solvers:
        raise UsageError(f"there is no sampler {name!r}: give ddim, {' or '.join(solvers)}")
    return solvers[name](**_shared(options), solver_order=2, final_sigmas_type="zero")


def make_scheduler(options: ScheduleOptions) -> DDIMScheduler:
    """diffusers' DDIM scheduler for these options; samples are never clipped or thresholded."""
    return DDIMScheduler(**_shared(options), clip_sample=False)


def _shared(options: ScheduleOptions) -> dict[str, Any]:
    """The options under the names that diffusers' schedulers share."""
    return {
        "num_train_timesteps": options.train_steps,
        "beta_start": options.beta_start,
        "beta_end": options.beta_end,
        "beta_schedule": options.beta_schedule,
        "steps_offset": options.steps_offset,
        "prediction_type": options.prediction,
        "rescale_betas_zero_snr": options.zero_terminal_snr,
        "timestep_spacing": options.spacing,
    }


def signal_and_noise_rates(
    alphas_cumprod: Float[Tensor, " train_steps"], timesteps: Int[Tensor, " batch"]
) -> tuple[Float[Tensor, "batch 1 1 1"], Float[Tensor, "batch 1 1 1"]]:
    """sqrt(alpha_bar_t) and sqrt(1 - alpha_bar_t) (Ho et al. 2020, arXiv 2006.11239, equation 4)."""
    alpha_bar = alphas_cumprod.to(timesteps.device)[timesteps][:, None, None, None]
    return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


def add_noise(
    latents: Float[Tensor, "batch c h w"],
    noise: Float[Tensor, "batch c h w"],
    timesteps: Int[Tensor, " batch"],
    alphas_cumprod: Float[Tensor, " train_steps"],
) -> Float[Tensor, "batch c h w"]:
    """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise."""
    signal, spread = signal_and_noise_rates(alphas_cumprod, timesteps)
    return signal * latents + spread * noise


def velocity(
    latents: Float[Tensor, "batch c h w"],
    noise: Float[Tensor, "batch c h w"],
    timesteps: Int[Tensor, " batch"],
    alphas_cumprod: Float[Tensor, " train_steps"],
) -> Float[Tensor, "batch c h w"]:
    """v = sqrt(alpha_bar_t) noise - sqrt(1 - alpha_bar_t) x_0 (Salimans & Ho 2022, arXiv 2202.00512, app. D)."""
    signal, spread = signal_and_noise_rates(alphas_cumprod, timesteps)
    return signal * noise - spread * latents
