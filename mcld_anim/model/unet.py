"""The two Stable Diffusion UNets: diffusers' own class with our attention processors, without patches."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from mcld_anim.model.attention import (
    FocalCrossAttention,
    MutualSelfAttention,
    ReferenceContext,
    ReferenceWriter,
    TokenCrossAttention,
)
from mcld_anim.options.model import UNetOptions


class PoseConditionedConv(nn.Conv2d):
    """A UNet's first convolution with pose features added: (B, latent channels + C0, h, w) -> (B, C0, h, w).

    The input is [latents; pose features], the output conv(latents) + pose features. Its weights are those of the
    convolution it replaces.
    """

    def forward(self, latents_and_pose: Tensor) -> Tensor:
        latents, pose = latents_and_pose.split([self.in_channels, self.out_channels], dim=1)
        return super().forward(latents) + pose


class LastReferenceWriter(nn.Module):
    """The last transformer block of the ReferenceNet: only its norm1, since nothing after it is read."""

    def __init__(self, layer: str, norm1: nn.LayerNorm) -> None:
        super().__init__()
        self.layer = layer
        self.norm1 = norm1

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        timestep: Tensor | None = None,
        cross_attention_kwargs: dict[str, ReferenceContext] | None = None,
        class_labels: Tensor | None = None,
    ) -> Tensor:
        """Return the (B, N, C) states unchanged; the signature is that of the block it replaces."""
        assert cross_attention_kwargs is not None
        cross_attention_kwargs["context"].features[self.layer] = self.norm1(hidden_states)
        return hidden_states


def build_denoising_unet(options: UNetOptions, face_scale: float) -> UNet2DConditionModel:
    """The denoiser's UNet: pose features are added after conv_in, attention reads a DenoiserContext."""
    unet = _build_unet(options)
    conv_in = unet.conv_in
    unet.conv_in = PoseConditionedConv(
        conv_in.in_channels, conv_in.out_channels, conv_in.kernel_size, padding=conv_in.padding
    )
    unet.conv_in.load_state_dict(conv_in.state_dict())
    for layer, block in transformer_blocks(unet):
        width = block.attn2.to_k.out_features
        focal = FocalCrossAttention(layer, width, options.cross_attention_dim, face_scale)
        with torch.no_grad():  # initialised from the text branch, as in IP-Adapter
            focal.to_k_ip.weight.copy_(block.attn2.to_k.weight)
            focal.to_v_ip.weight.copy_(block.attn2.to_v.weight)
        block.attn1.set_processor(MutualSelfAttention(layer))
        block.attn2.set_processor(focal)
    return unet


def build_reference_unet(options: UNetOptions) -> UNet2DConditionModel:
    """The ReferenceNet's UNet: attention writes a ReferenceContext; layers that are never read are left out."""
    unet = _build_unet(options)
    for layer, block in transformer_blocks(unet):
        block.attn1.set_processor(ReferenceWriter(layer))
        block.attn2.set_processor(TokenCrossAttention())
    last = [layer for layer, _ in transformer_blocks(unet) if layer.startswith("up_blocks.")][-1]
    block = unet.get_submodule(last)
    attention = unet.get_submodule(last.removesuffix(".transformer_blocks.0"))
    attention.transformer_blocks[0] = LastReferenceWriter(last, block.norm1)
    attention.proj_out = nn.Identity()
    unet.conv_norm_out = None
    unet.conv_out = nn.Identity()
    return unet


def transformer_blocks(unet: UNet2DConditionModel) -> Iterator[tuple[str, BasicTransformerBlock]]:
    """Every transformer block with its name, e.g. "mid_block.attentions.0.transformer_blocks.0"."""
    return ((name, part) for name, part in unet.named_modules() if isinstance(part, BasicTransformerBlock))


def _build_unet(options: UNetOptions) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        in_channels=options.in_channels,
        out_channels=options.out_channels,
        block_out_channels=options.block_out_channels,
        down_block_types=options.down_block_types,
        up_block_types=options.up_block_types,
        layers_per_block=options.layers_per_block,
        attention_head_dim=options.heads,  # diffusers' name for the NUMBER of heads
        cross_attention_dim=options.cross_attention_dim,
        norm_num_groups=options.norm_num_groups,
    )
