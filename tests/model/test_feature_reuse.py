"""Feature reuse: a full step is the UNet's own, a shallow one reads what is kept of exactly its rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mcld_anim.model.attention import DenoiserContext, ProjectedAppearance
from mcld_anim.model.build import Mcld
from mcld_anim.model.feature_reuse import FeatureReuse, run_layers
from mcld_anim.model.focal import route_tokens
from mcld_anim.model.operations import step_operations
from mcld_anim.options.model import load_model_options

FRAMES = 2


@pytest.fixture
def appearance(mcld: Mcld) -> ProjectedAppearance:
    """One random source."""
    draw = torch.Generator().manual_seed(1)
    image, texture, face = (torch.randn(1, 1, width, generator=draw) for width in (16, 16, 8))
    reference = mcld.reference_net(torch.randn(1, 4, 8, 8, generator=draw), image)
    return mcld.denoiser.project_source(reference, route_tokens(image, texture, mcld.face_tokens(face)))


def inputs(seed: int = 2, height: int = 8, width: int = 8) -> tuple[Tensor, Tensor]:
    """Latents and pose features of the frames."""
    draw = torch.Generator().manual_seed(seed)
    return (
        torch.randn(FRAMES, 4, height, width, generator=draw),
        torch.randn(FRAMES, 8, height, width, generator=draw),
    )


@pytest.mark.parametrize("size", [(8, 8), (9, 6)])
@torch.no_grad()
def test_all_layers_are_the_unet(mcld: Mcld, appearance: ProjectedAppearance, size: tuple[int, int]) -> None:
    latents, pose = inputs(2, *size)
    own = mcld.denoiser(latents, 500, pose, appearance)
    context = DenoiserContext(appearance, unconditional_rows=0)
    made, deep = run_layers(mcld.denoiser.unet, torch.cat([latents, pose], 1), torch.tensor([500] * FRAMES), context)
    assert torch.equal(made, own)
    assert deep.shape[2:] == latents.shape[2:]


@pytest.mark.parametrize("guided", [False, True])
@torch.no_grad()
def test_a_shallow_step_of_the_same_inputs_is_exact(mcld: Mcld, appearance: ProjectedAppearance, guided: bool) -> None:
    latents, pose = inputs()
    reuse = FeatureReuse(2)
    full, shallow = (mcld.denoiser(latents, 500, pose, appearance, guided=guided, reuse=reuse) for _ in range(2))
    torch.testing.assert_close(shallow, full, atol=0, rtol=0)


@torch.no_grad()
def test_a_shallow_step_reads_fresh_latents_pose_and_timestep_and_no_deep_layer(
    mcld: Mcld, appearance: ProjectedAppearance
) -> None:
    latents, pose = inputs()

    def shallow(latents: Tensor, timestep: int, pose: Tensor) -> Tensor:
        mcld.denoiser(*inputs()[:1], 500, inputs()[1], appearance, reuse=(reuse := FeatureReuse(2)))
        mcld.denoiser.unet.mid_block.resnets[0].conv1.weight.mul_(2)
        made = mcld.denoiser(latents, timestep, pose, appearance, reuse=reuse)
        mcld.denoiser.unet.mid_block.resnets[0].conv1.weight.div_(2)
        return made

    usual = shallow(latents, 500, pose)
    assert torch.equal(usual, mcld.denoiser(latents, 500, pose, appearance))
    for other in (shallow(latents + 1, 500, pose), shallow(latents, 400, pose), shallow(latents, 500, pose + 1)):
        assert (other - usual).abs().max() > 1e-3


@torch.no_grad()
def test_guidance_may_begin_and_end_between_steps(mcld: Mcld, appearance: ProjectedAppearance) -> None:
    """Unconditional rows are never read where none were kept, and each half is the one of its own rows."""
    steps, reuse = [(inputs(seed), seed in (3, 4)) for seed in range(2, 7)], FeatureReuse(5)
    full = []
    for (latents, pose), guided in steps:
        kept = reuse.conditional
        made = mcld.denoiser(latents, 500, pose, appearance, guided=guided, reuse=reuse)
        full.append(reuse.conditional is not kept)
        if guided:
            assert made[0].shape == made[1].shape == latents.shape
    assert full == [True, True, False, False, False]  # guidance sets in at the second step
    deep = reuse.conditional
    alone = FeatureReuse(2)
    mcld.denoiser(*inputs(3)[:1], 500, inputs(3)[1], appearance, reuse=alone)
    torch.testing.assert_close(deep, alone.conditional, atol=2e-5, rtol=1e-5)


def test_full_steps_come_at_the_interval() -> None:
    reuse, full = FeatureReuse(3), []
    for _ in range(8):
        full.append(reuse.deep(guided=False) is None)
        if full[-1]:
            reuse.keep(torch.zeros(1), guided=False)
    assert full == [True, False, False, True, False, False, True, False]


@pytest.mark.parametrize(("name", "share"), [("tiny", 0.63), ("mcld_sd15", 0.246)])
def test_both_models_take_the_same_way(name: str, share: float) -> None:
    options = load_model_options(name)
    assert step_operations(options, True, True) / step_operations(options, True) == pytest.approx(share, abs=0.005)
