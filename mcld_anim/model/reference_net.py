"""The ReferenceNet: reads the source's UV texture once and hands its features over, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mcld_anim.model.attention import ReferenceContext
from mcld_anim.model.unet import LastHandOver, build_reference_unet
from mcld_anim.options.model import UNetOptions

ReferenceFeatures = Mapping[str, Float[Tensor, "batch tokens channels"]]
"""Name of a transformer block -> the states that enter its self attention (the output of its norm1).

Writer and reader are networks of one shape; a denoiser layer reads the entry of its own name. The published
code pairs them by sorting on width, which comes to the same pairs.
"""


class ReferenceNet(nn.Module):
    """A Stable Diffusion UNet of which only the attention inputs are used; its output layers do not exist."""

    def __init__(self, options: UNetOptions) -> None:
        super().__init__()
        self.unet = build_reference_unet(options)

    def enable_gradient_checkpointing(self) -> None:
        """Trade time for memory in training: recompute each block in the backward pass."""
        self.unet.enable_gradient_checkpointing()

    @property
    def last_layer(self) -> str:
        """Name of the transformer block after whose norm1 nothing is read."""
        return next(part.layer for part in self.unet.modules() if isinstance(part, LastHandOver))

    def forward(
        self, texture_latents: Float[Tensor, "batch channels h w"], image_tokens: Float[Tensor, "batch 1 dim"]
    ) -> ReferenceFeatures:
        """Features of every attention layer for one source per row.

        texture_latents: (B, C, h, w) scaled latents of the UV texture, without noise.
        image_tokens: (B, 1, D) CLIP embedding of the source picture.
        The timestep is 0: the texture is a clean picture.
        """
        context = ReferenceContext()
        self.unet(
            texture_latents,
            texture_latents.new_zeros((), dtype=torch.int64),  # a Python 0 would be copied, and the CPU wait for it
            encoder_hidden_states=image_tokens,
            cross_attention_kwargs={"context": context},
        )
        return context.features
