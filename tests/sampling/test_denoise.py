"""The schedule and the sampling loop, against golden traces and against arithmetic."""

from typing import Literal

import pytest
import torch

from mcld_anim.core.errors import UsageError
from mcld_anim.options.model import ScheduleOptions
from mcld_anim.sampling.denoise import StepBlending, denoise, guide
from mcld_anim.sampling.schedule import add_noise, make_sampler, make_scheduler, velocity


def test_zero_terminal_snr() -> None:
    scheduler = make_scheduler(ScheduleOptions())
    assert scheduler.alphas_cumprod[-1].item() == pytest.approx(0, abs=1e-9)
    scheduler.set_timesteps(20)
    assert scheduler.timesteps.tolist() == list(range(999, 0, -50))


def test_velocity_inverts_add_noise() -> None:
    alphas = make_scheduler(ScheduleOptions()).alphas_cumprod
    latents, noise = torch.randn(2, 5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    timesteps = torch.tensor([0, 10, 500, 900, 999])
    noisy, v = add_noise(latents, noise, timesteps, alphas), velocity(latents, noise, timesteps, alphas)
    rate = alphas[timesteps][:, None, None, None]
    torch.testing.assert_close(rate.sqrt() * noisy - (1 - rate).sqrt() * v, latents, atol=1e-5, rtol=0)


SAMPLERS = ("ddim", "dpm++", "unipc")


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(UsageError, match="no sampler 'surface': give ddim, dpm"):
        make_sampler(ScheduleOptions(), "surface")


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 4, 8, 20])
def test_a_perfect_network_recovers_the_latents(steps: int, name: str) -> None:
    scheduler = make_sampler(ScheduleOptions(), name)
    truth, noise = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(1))

    def predict(latents: torch.Tensor, timestep: int) -> torch.Tensor:
        rate = scheduler.alphas_cumprod[timestep]
        return (rate.sqrt() * latents - truth) / (1 - rate).sqrt()

    seen: list[tuple[int, int]] = []
    result = denoise(predict, noise, scheduler, steps, 1.0, on_step=lambda done, total: seen.append((done, total)))
    torch.testing.assert_close(result, truth, atol=1e-4, rtol=0)
    assert seen == [(step + 1, steps) for step in range(steps)]


def test_guidance_moves_away_from_the_unconditional() -> None:
    unconditional, conditional = torch.zeros(2), torch.ones(2)
    assert guide((unconditional, conditional), 3.5).tolist() == [3.5, 3.5]
    assert guide((unconditional, conditional), 1.0) is conditional
    assert guide(conditional, 1.0) is conditional
    with pytest.raises(UsageError, match="unconditional"):
        guide(conditional, 2.0)


def test_blend_is_called_after_every_step() -> None:
    scheduler = make_scheduler(ScheduleOptions())
    steps: list[int] = []

    def blend(latents: torch.Tensor, step: int) -> torch.Tensor:
        steps.append(step)
        return torch.zeros_like(latents)

    result = denoise(lambda x, t: x, torch.ones(1, 4, 2, 2), scheduler, 5, 1.0, StepBlending(latents=blend))
    assert steps == [0, 1, 2, 3, 4]
    assert not result.any()


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon"])
def test_the_blended_estimate_is_gone_on_from(name: str, prediction: Literal["v_prediction", "epsilon"]) -> None:
    """At the last step the estimate is the result."""
    options = ScheduleOptions(prediction=prediction, zero_terminal_snr=prediction == "v_prediction")
    noise, goal = torch.randn(2, 1, 4, 3, 3, generator=torch.Generator().manual_seed(2))
    blending = StepBlending(clean=lambda clean, step: goal if step == 3 else clean)
    made = denoise(lambda x, t: 0.1 * x, noise, make_sampler(options, name), 4, 1.0, blending)
    torch.testing.assert_close(made, goal, atol=2e-2, rtol=0)
    plain = denoise(lambda x, t: 0.1 * x, noise, make_sampler(options, name), 4, 1.0)
    same = StepBlending(clean=lambda clean, step: clean)
    unchanged = denoise(lambda x, t: 0.1 * x, noise, make_sampler(options, name), 4, 1.0, same)
    torch.testing.assert_close(unchanged, plain, atol=1e-4, rtol=1e-4)


def test_guidance_is_asked_for_at_each_level_of_noise() -> None:
    asked: list[float] = []

    def scale(level: float) -> float:
        asked.append(level)
        return 1.0 if level < 0.5 else 3.0

    def predict(latents: torch.Tensor, timestep: int) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        return (latents, latents) if timestep >= 500 else latents

    denoise(predict, torch.ones(1, 4, 2, 2), make_scheduler(ScheduleOptions()), 4, scale)
    assert asked == [0.999, 0.749, 0.499, 0.249]


def test_no_steps_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        denoise(lambda x, t: x, torch.ones(1, 4, 2, 2), make_scheduler(ScheduleOptions()), 0, 1.0)
