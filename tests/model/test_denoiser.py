"""Properties of the denoiser: cached keys and values, guidance, independent rows, condition dropout, gradients."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mcld_anim.model.attention import ProjectedAppearance, attend, project_out, split_heads
from mcld_anim.model.build import Mcld
from mcld_anim.model.focal import FocalTokens, route_tokens
from mcld_anim.model.reference_net import ReferenceFeatures
from mcld_anim.model.unet import transformer_blocks

FRAMES = 3
QUERY_SIDE = ("attn2.to_q.weight", "attn2.to_k.weight", "norm2.weight", "norm2.bias")
CLOSE = {"atol": 2e-5, "rtol": 1e-5}


def source(mcld: Mcld, rows: int, seed: int = 1) -> tuple[ReferenceFeatures, FocalTokens]:
    """Reference features and tokens of `rows` random sources."""
    draw = torch.Generator().manual_seed(seed)
    image, texture = (torch.randn(rows, 1, 16, generator=draw) for _ in range(2))
    face = mcld.face_tokens(torch.randn(rows, 1, 8, generator=draw))
    features = mcld.reference_net(torch.randn(rows, 4, 8, 8, generator=draw), image)
    return features, route_tokens(image, texture, face)


def appearance(mcld: Mcld, rows: int, seed: int = 1) -> ProjectedAppearance:
    """Keys and values of `rows` random sources."""
    return mcld.denoiser.project_source(*source(mcld, rows, seed))


def frames(seed: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, timesteps and pose features of the frames."""
    draw = torch.Generator().manual_seed(seed)
    latents = torch.randn(FRAMES, 4, 8, 8, generator=draw)
    return latents, torch.tensor([1, 500, 999]), torch.randn(FRAMES, 8, 8, 8, generator=draw)


@torch.no_grad()
def test_cached_keys_equal_attention_to_the_features_themselves(mcld: Mcld) -> None:
    features, tokens = source(mcld, FRAMES)
    seen = mcld.denoiser.project_source(features, tokens)
    cached = mcld.denoiser(*frames(), seen)
    for layer, block in transformer_blocks(mcld.denoiser.unet):
        block.attn1.set_processor(uncached_self_attention(features[layer]))
        stage, face = tokens.stage(layer), tokens.face
        assert stage is not None
        assert face is not None
        branch = block.attn2.processor
        block.attn2.set_processor(uncached_cross_attention(stage, face, branch, scale=0.5))
    latents, timesteps, pose = frames()
    inputs = torch.cat([latents, pose], dim=1)
    uncached = mcld.denoiser.unet(inputs, timesteps, encoder_hidden_states=None).sample
    torch.testing.assert_close(cached, uncached, **CLOSE)


def uncached_self_attention(reference: Tensor) -> Callable[..., Tensor]:
    """Mutual self-attention as in the paper: one projection of [own; reference] tokens."""

    def call(attn: torch.nn.Module, states: Tensor, *, encoder_hidden_states: object, attention_mask: object) -> Tensor:
        return attend(attn, states, torch.cat([states, reference], dim=1))

    return call


def uncached_cross_attention(
    stage: Tensor, face: Tensor, branch: torch.nn.Module, scale: float
) -> Callable[..., Tensor]:
    """Decoupled cross attention with explicit softmax products."""

    def softmax_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        weights = (queries @ keys.transpose(-1, -2) / queries.shape[-1] ** 0.5).softmax(-1)
        return weights @ values

    def call(attn: torch.nn.Module, states: Tensor, *, encoder_hidden_states: object, attention_mask: object) -> Tensor:
        queries, heads = split_heads(attn.to_q(states), attn.heads), attn.heads
        own = (split_heads(project(stage), heads) for project in (attn.to_k, attn.to_v))
        of_face = (split_heads(project(face), heads) for project in (branch.to_k_ip, branch.to_v_ip))
        return project_out(attn, softmax_attention(queries, *own) + scale * softmax_attention(queries, *of_face))

    return call


@torch.no_grad()
def test_guided_halves_equal_two_separate_calls(mcld: Mcld) -> None:
    seen = appearance(mcld, FRAMES)
    unconditional, conditional = mcld.denoiser(*frames(), seen, guided=True)
    everything = torch.ones(FRAMES, dtype=torch.bool)
    torch.testing.assert_close(conditional, mcld.denoiser(*frames(), seen), **CLOSE)
    torch.testing.assert_close(unconditional, mcld.denoiser(*frames(), seen, dropped=everything), **CLOSE)
    assert (conditional - unconditional).abs().max() > 0.01


@torch.no_grad()
def test_the_unconditional_half_is_a_unet_with_zero_tokens(mcld: Mcld) -> None:
    unconditional, _ = mcld.denoiser(*frames(), appearance(mcld, FRAMES), guided=True)
    nothing = torch.zeros(FRAMES, 1, 16)
    for layer, block in transformer_blocks(mcld.denoiser.unet):
        block.attn1.set_processor(lambda attn, states, **_: attend(attn, states, states))
        block.attn2.set_processor(lambda attn, states, **_: attend(attn, states, nothing))
        assert layer
    latents, timesteps, pose = frames()
    plain = mcld.denoiser.unet(torch.cat([latents, pose], 1), timesteps, encoder_hidden_states=None).sample
    torch.testing.assert_close(unconditional, plain, **CLOSE)


@torch.no_grad()
def test_rows_do_not_depend_on_each_other(mcld: Mcld) -> None:
    seen = appearance(mcld, FRAMES)
    latents, timesteps, pose = frames()
    together = mcld.denoiser(latents, timesteps, pose, seen, guided=True)
    for row in range(FRAMES):
        one = slice(row, row + 1)
        alone = mcld.denoiser(latents[one], timesteps[one], pose[one], seen.select(torch.tensor([row])), guided=True)
        for half in range(2):
            torch.testing.assert_close(alone[half], together[half][one], **CLOSE)


@torch.no_grad()
def test_one_source_serves_all_frames(mcld: Mcld) -> None:
    seen = appearance(mcld, 1)
    repeated = seen.select(torch.zeros(FRAMES, dtype=torch.int64))
    for guided in (False, True):
        ours = mcld.denoiser(*frames(), seen, guided=guided)
        theirs = mcld.denoiser(*frames(), repeated, guided=guided)
        torch.testing.assert_close(ours, theirs, **CLOSE)


@pytest.mark.parametrize("sources", [1, FRAMES])
@pytest.mark.parametrize("dropped", [(False, True, False), (True, False, True), (False, False, False)])
@torch.no_grad()
def test_dropped_rows_are_unconditional_and_stay_in_place(mcld: Mcld, dropped: tuple[bool, ...], sources: int) -> None:
    seen = appearance(mcld, sources)
    unconditional, conditional = mcld.denoiser(*frames(), seen, guided=True)
    mixed = mcld.denoiser(*frames(), seen, dropped=torch.tensor(dropped))
    for row, gone in enumerate(dropped):
        torch.testing.assert_close(mixed[row], (unconditional if gone else conditional)[row], **CLOSE)


@torch.no_grad()
def test_rounding_of_reference_features_is_small_and_off_by_default(mcld: Mcld) -> None:
    features, tokens = source(mcld, 1)
    exact = mcld.denoiser.project_source(features, tokens)
    rounded = mcld.denoiser.project_source(features, tokens, reference_dtype=torch.float16)
    by_hand = mcld.denoiser.project_source({key: value.half().float() for key, value in features.items()}, tokens)
    layer = mcld.reference_net.last_layer
    torch.testing.assert_close(rounded.reference[layer].keys, by_hand.reference[layer].keys)
    assert not torch.equal(rounded.reference[layer].keys, exact.reference[layer].keys)
    torch.testing.assert_close(rounded.reference[layer].keys, exact.reference[layer].keys, atol=1e-2, rtol=1e-2)


@torch.no_grad()
def test_any_latent_size_runs(mcld: Mcld) -> None:
    seen = appearance(mcld, 1)
    v = mcld.denoiser(torch.randn(1, 4, 9, 6), 10, torch.randn(1, 8, 9, 6), seen)
    assert v.shape == (1, 4, 9, 6)


@torch.no_grad()
def test_left_out_conditions_read_nothing(mcld: Mcld) -> None:
    features, tokens = source(mcld, 1)
    nothing = FocalTokens(None, None, None, None)
    without = mcld.denoiser(*frames(), mcld.denoiser.project_source(features, nothing))
    assert without.isfinite().all()
    assert (without - mcld.denoiser(*frames(), mcld.denoiser.project_source(features, tokens))).abs().max() > 1e-3


def test_wrong_numbers_of_sources_are_refused(mcld: Mcld) -> None:
    with pytest.raises(ValueError, match="2 sources for 3 frames"):
        mcld.denoiser(*frames(), appearance(mcld, 2))
    features, _ = source(mcld, 2)
    _, tokens = source(mcld, 1)
    with pytest.raises(ValueError, match="2 sources in the reference features, but 1 in the tokens"):
        mcld.denoiser.project_source(features, tokens)
    with pytest.raises(ValueError, match="exclude each other"):
        mcld.denoiser(*frames(), appearance(mcld, 3), guided=True, dropped=torch.tensor([True] * 3))


def backward(mcld: Mcld) -> ProjectedAppearance:
    """Gradients of one training forward through every network."""
    torch.manual_seed(1)
    latents, timesteps, _ = frames()
    pixels = torch.randn(FRAMES, 3, 32, 32)
    image, texture = (mcld.image_encoder(pixels * factor).image_embeds[:, None] for factor in (1, 2))
    tokens = route_tokens(image, texture, mcld.face_tokens(torch.randn(FRAMES, 1, 8)))
    seen = mcld.denoiser.project_source(mcld.reference_net(torch.randn(FRAMES, 4, 8, 8), image), tokens)
    pose = mcld.pose_guider(torch.randn(FRAMES, 27, 64, 64), torch.randn(FRAMES, 5, 8, 8))
    v = mcld.denoiser(latents, timesteps, pose, seen, dropped=torch.tensor([False, True, False]))
    v.square().mean().backward()
    return seen


def test_checkpointing_changes_no_gradient(mcld: Mcld) -> None:
    mcld.train()
    backward(mcld)
    wanted = {name: p.grad.clone() for name, p in mcld.named_parameters() if p.grad is not None}
    mcld.zero_grad()
    mcld.denoiser.enable_gradient_checkpointing()
    mcld.reference_net.enable_gradient_checkpointing()
    backward(mcld)
    for name, parameter in mcld.named_parameters():
        if name in wanted:
            torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_reach_every_parameter(mcld: Mcld, checkpointing: bool) -> None:
    mcld.train()
    if checkpointing:
        mcld.denoiser.enable_gradient_checkpointing()
        mcld.reference_net.enable_gradient_checkpointing()
    seen = backward(mcld)
    silent = {
        name
        for part in ("reference_net", "denoiser", "pose_guider", "face_tokens", "image_encoder")
        for name, parameter in mcld.get_submodule(part).named_parameters(prefix=part)
        if parameter.grad is None or parameter.grad.abs().max() < 1e-9  # rounding: some kernels leave 1e-11
    }
    # With a single image token the softmax over one key is 1, so its query and key projections get no gradient:
    # all of the ReferenceNet's, and the denoiser's image keys in the down and up blocks. Adding one number to all keys
    # changes no softmax, so a bias of keys has no gradient either.
    expected = {
        f"{prefix}.{layer}.{name}"
        for prefix, names in (("reference_net.unet", QUERY_SIDE), ("denoiser.unet", ("attn2.to_k.weight",)))
        for layer in seen.reference
        for name in names
        if not (prefix.startswith("denoiser") and layer.startswith("mid"))
        if not (prefix.startswith("reference") and layer == mcld.reference_net.last_layer)
    }
    assert silent == expected | {name for name in silent if name.endswith(".k_proj.bias")}
