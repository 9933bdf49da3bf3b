"""Cases a-e and vae: single networks and one guided pass. Tolerances: README of the golden data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import ParityError
from mcld_anim.model.attention import (
    DenoiserContext,
    MutualSelfAttention,
    ProjectedAppearance,
    attend,
    project_key_values,
)
from mcld_anim.model.build import Mcld
from mcld_anim.model.focal import FocalTokens, route_tokens
from mcld_anim.model.unet import transformer_blocks
from mcld_anim.parity.golden import Comparison, Golden, compare, replays

SINGLE_NETWORK = 1e-5
REFERENCE_FEATURES = 5e-5
ONE_PASS = 2e-4
ONE_PASS_FLOAT16_FEATURES = 5e-4

FRAMES_TO_ROWS = "sample c frame h w -> (sample frame) c h w"
ROWS_TO_FRAMES = "(sample frame) c h w -> sample c frame h w"


@replays("a_resampler*.safetensors")
@torch.no_grad()
def resampler(golden: Golden, case: str) -> Iterator[Comparison]:
    """Face embeddings to face tokens, including the zero embedding of a missing face."""
    data = golden.tensors(case)
    tokens = golden.networks("image_proj_model").face_tokens(data["face_emb"])
    yield compare("tokens", tokens, data["tokens"], SINGLE_NETWORK)


@replays("b_pose_guider*.safetensors", also=["b_pose_guider*.png"])
@torch.no_grad()
def pose_guider(golden: Golden, case: str) -> Iterator[Comparison]:
    """Pose pictures to pose features, as a batch and as frames; every frame is encoded independently."""
    data = golden.tensors(case)
    guider = golden.networks("pose_guider").pose_guider
    batch = guider(unit_planes(golden.pictures(f"{case}.pose_")))
    yield compare("features", batch[:, :, None], data["features"], SINGLE_NETWORK)
    frames = guider(unit_planes(golden.pictures(f"{case}.pose_frames_")))
    yield compare("frames", rearrange(frames, "frame c h w -> 1 c frame h w"), data["features_frames"], SINGLE_NETWORK)


@replays("c_ip_attention*.safetensors")
@torch.no_grad()
def attention_layers(golden: Golden, case: str) -> Iterator[Comparison]:
    """Single layers: cross attention of each stage with its face branch, self attention with additional keys."""
    data = golden.tensors(case)
    unet = golden.networks("denoising_unet").denoiser.unet
    face_count = golden.options.face.num_tokens
    for stage, layer in _focal_layers(golden).items():
        cross = unet.get_submodule(layer).attn2
        picture, face = data[f"{stage}_tokens"].split([data[f"{stage}_tokens"].shape[1] - face_count, face_count], 1)
        branch = cross.processor
        appearance = ProjectedAppearance(
            rows=len(picture),
            reference={},
            tokens={layer: project_key_values(cross.to_k, cross.to_v, picture, cross.heads)},
            face={layer: project_key_values(branch.to_k_ip, branch.to_v_ip, face, cross.heads)},
        )
        out = cross(data[f"{stage}_hidden"], context=DenoiserContext(appearance, unconditional_rows=0))
        yield compare(stage, out, data[f"{stage}_out"], SINGLE_NETWORK)
    yield from _self_attention(unet.get_submodule(_self_layer(golden)).attn1, data)


def _self_attention(own: nn.Module, data: dict[str, Tensor]) -> Iterator[Comparison]:
    hidden, longer = data["self_hidden"], data["self_kv"]
    yield compare("self", attend(own, hidden, hidden), data["self_out"], SINGLE_NETWORK)
    yield compare("self, longer keys", attend(own, hidden, longer), data["self_out_kv"], SINGLE_NETWORK)


def _focal_layers(golden: Golden) -> dict[str, str]:
    """The recorded layers: the first of down block 1, the middle block's, and the last of the last up block."""
    options = golden.options.unet
    block, attention = len(options.up_block_types) - 1, options.layers_per_block
    return {
        "down": "down_blocks.1.attentions.0.transformer_blocks.0",
        "mid": "mid_block.attentions.0.transformer_blocks.0",
        "up": f"up_blocks.{block}.attentions.{attention}.transformer_blocks.0",
    }


def _self_layer(golden: Golden) -> str:
    return f"down_blocks.0.attentions.{golden.options.unet.layers_per_block - 1}.transformer_blocks.0"


@replays("d_reference_bank*.safetensors")
@torch.no_grad()
def reference_features(golden: Golden, case: str) -> Iterator[Comparison]:
    """The reference features of every layer of the ReferenceNet."""
    data = golden.tensors(case)
    net = golden.networks("reference_unet").reference_net
    features = net(data["latents"], data["encoder_hidden_states"])
    expected = {key.split(".", 2)[2]: value for key, value in data.items() if key.startswith("bank.")}
    if features.keys() != expected.keys():
        raise ParityError(f"layers {sorted(features)} hand over, expected {sorted(expected)}")
    for layer, value in expected.items():
        yield compare(layer.removesuffix(".transformer_blocks.0"), features[layer], value, REFERENCE_FEATURES)


@replays("d_pairing*.json")
def pairing(golden: Golden, case: str) -> Iterator[Comparison]:
    """Every denoiser layer reads the recorded layer's reference features, and no layer is missing."""
    recorded = golden.json(case)
    mcld = golden.networks()
    readers = {
        name: block.attn1.processor.layer
        for name, block in transformer_blocks(mcld.denoiser.unet)
        if isinstance(block.attn1.processor, MutualSelfAttention)
    }
    pairs = {pair["reader"]: pair["writer"] for pair in recorded["pairs_in_zip_order"]}
    yield Comparison("pairs that differ", len(set(readers.items()) ^ set(pairs.items())), 0)


@replays("e_unet_cfg*.safetensors")
@torch.no_grad()
def guided_pass(golden: Golden, case: str) -> Iterator[Comparison]:
    """One pass with classifier-free guidance, with and without the published float16 rounding of reference features."""
    data = golden.tensors(case)
    mcld = golden.networks("denoising_unet", "reference_unet")
    count = len(data["latents"])
    latents, pose = data["latents"][:, :, 0], data["pose_features"][:count, :, 0]
    timestep = data["timestep"]
    exact, rounded = (_appearance(mcld, data, dtype) for dtype in (None, torch.float16))
    with _block_outputs(mcld.denoiser.unet, data) as blocks:
        halves = mcld.denoiser(latents, timestep, pose, exact, guided=True)
    yield compare("bank float32", torch.cat(halves)[:, :, None], data["noise_pred_bank_float32"], ONE_PASS)
    for name, output in blocks.items():
        yield compare(name, output[:, :, None], data[f"block_bank_float32.{name}"], ONE_PASS)
    halves = mcld.denoiser(latents, timestep, pose, rounded, guided=True)
    yield compare("bank float16", torch.cat(halves)[:, :, None], data["noise_pred"], ONE_PASS_FLOAT16_FEATURES)
    unguided = mcld.denoiser(latents, timestep, pose, rounded)
    yield compare("unguided", unguided[:, :, None], data["noise_pred_unguided"], ONE_PASS_FLOAT16_FEATURES)


@replays("e2_unet_frames*.safetensors")
@torch.no_grad()
def several_frames(golden: Golden, case: str) -> Iterator[Comparison]:
    """Frames of a sample: batch rows here, while the published forward shares GroupNorm statistics among frames."""
    data = golden.tensors(case)
    mcld = golden.networks("denoising_unet", "reference_unet")
    appearance = _appearance(mcld, _single_case(golden, "e_unet_cfg*.safetensors"), None)
    samples, _, frames = data["latents"].shape[:3]
    per_frame = appearance.select(torch.arange(samples).repeat_interleave(frames))
    latents = rearrange(data["latents"], FRAMES_TO_ROWS)
    pose = rearrange(data["pose_features"][:samples], FRAMES_TO_ROWS)

    def predict() -> Tensor:
        halves = mcld.denoiser(latents, data["timestep"], pose, per_frame, guided=True)
        return rearrange(torch.cat(halves), ROWS_TO_FRAMES, frame=frames)

    yield compare("one frame at a time", predict(), data["noise_pred_one_frame_at_a_time"], ONE_PASS)
    with _frames_share_group_norm(mcld.denoiser.unet, frames):
        joint = predict()
    yield compare("frames together", joint, data["noise_pred_bank_float32"], ONE_PASS)


@replays("vae*.safetensors")
@torch.no_grad()
def autoencoder(golden: Golden, case: str) -> Iterator[Comparison]:
    """The published autoencoder's posterior and decoder, before any scaling."""
    data = golden.tensors(case)
    vae = golden.networks("vae").vae
    posterior = vae.encode_posterior(data["picture"])
    yield compare("mean", posterior.mean, data["mean"], 2e-4)
    yield compare("logvar", posterior.logvar, data["logvar"], 2e-4)
    yield compare("decoded", vae.decode_raw(data["latents"]), data["decoded"], 1e-4)


def unit_planes(pictures: list[Picture]) -> Tensor:
    """PNG planes 0..255 of B pictures of one size -> float32 (B, 3, H, W) in 0..1, in the same plane order.

    Contiguous, as in the published code: GroupNorm is ten times less exact on channels-last memory.
    """
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().contiguous() / 255


def _appearance(mcld: Mcld, data: dict[str, Tensor], dtype: torch.dtype | None) -> ProjectedAppearance:
    """The appearance of case e, from reference latents and the conditional rows' tokens."""
    tokens = route_tokens(data["image_embeds"], data["texture_embeds"], data["face_tokens"])
    _check_routing(tokens, data)
    features = mcld.reference_net(data["ref_latents"], data["image_embeds"])
    return mcld.denoiser.project_source(features, tokens, reference_dtype=dtype)


def _check_routing(tokens: FocalTokens, data: dict[str, Tensor]) -> None:
    """Compare with the published token sequences: their conditional rows are our stage tokens, then face tokens."""
    for stage, ours in (("down", tokens.down), ("mid", tokens.mid), ("up", tokens.up)):
        assert ours is not None
        assert tokens.face is not None
        theirs = data[f"{stage}_tokens"][len(ours) :]
        if not torch.equal(torch.cat([ours, tokens.face], dim=1), theirs):
            raise ParityError(f"the tokens of the {stage} blocks are routed differently")


def _single_case(golden: Golden, pattern: str) -> dict[str, Tensor]:
    """The tensors of the only matching case."""
    found = [file for file in golden.files() if fnmatchcase(file, pattern)]
    if len(found) != 1:
        raise ParityError(f"{len(found)} files match {pattern}, expected one: this case takes its inputs from there")
    return golden.tensors(found[0].removesuffix(".safetensors"))


@contextmanager
def _block_outputs(unet: nn.Module, data: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Collect the outputs of the recorded blocks, to locate the start of a difference."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
            outputs[name] = output if isinstance(output, Tensor) else output[0]

        return hook

    names = [key.removeprefix("block_bank_float32.") for key in data if key.startswith("block_bank_float32.")]
    handles = [unet.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _frames_share_group_norm(unet: nn.Module, frames: int) -> Iterator[None]:
    """Let GroupNorm of residual blocks and of the output normalise all frames of a sample together.

    The published network does so for several frames in one forward pass. A frame then depends on its neighbours, so
    the project does not offer it; the harness only shows that nothing else differs.
    """
    handles = []

    def joined(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        assert isinstance(module, nn.GroupNorm)
        rows = inputs[0]
        together = rearrange(rows, ROWS_TO_FRAMES, frame=frames)
        normed = nn.functional.group_norm(together, module.num_groups, module.weight, module.bias, module.eps)
        return rearrange(normed, FRAMES_TO_ROWS)

    for name, module in unet.named_modules():
        if isinstance(module, nn.GroupNorm) and ".attentions." not in name:
            handles.append(module.register_forward_hook(lambda m, inputs, _output: joined(m, inputs)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
