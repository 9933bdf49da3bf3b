"""The ReferenceNet: encodes the source's UV texture once to reference features, one tensor per attention layer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mcld_anim.model.attention import ReferenceContext
from mcld_anim.model.unet import LastReferenceWriter, build_reference_unet
from mcld_anim.options.model import UNetOptions

ReferenceFeatures = Mapping[str, Float[Tensor, "batch _tokens _width"]]
"""Name of a transformer block -> the input of its self attention (the output of its norm1).

Both networks have the same layers; a denoiser layer reads the entry of its own name. The published code pairs layers
by sorting on width, which gives the same pairs.
"""


class ReferenceNet(nn.Module):
    """A Stable Diffusion UNet without output layers; only the inputs of its self attention are used."""

    def __init__(self, options: UNetOptions) -> None:
        super().__init__()
        self.unet = build_reference_unet(options)

    def enable_gradient_checkpointing(self) -> None:
        """Recompute each block in the backward pass: training takes less memory and more time."""
        self.unet.enable_gradient_checkpointing()

    @property
    def last_layer(self) -> str:
        """Name of the last transformer block; nothing after its norm1 is read."""
        return next(part.layer for part in self.unet.modules() if isinstance(part, LastReferenceWriter))

    def forward(
        self, texture_latents: Float[Tensor, "batch channels h w"], image_tokens: Float[Tensor, "batch 1 dim"]
    ) -> ReferenceFeatures:
        """Reference features of every attention layer, one source per row.

        texture_latents: (B, C, h, w) scaled latents of the UV texture, without noise.
        image_tokens: (B, 1, D) CLIP embedding of the source picture.
        The timestep is 0: the texture has no noise.
        """
        context = ReferenceContext()
        self.unet(
            texture_latents,
            texture_latents.new_zeros((), dtype=torch.int64),  # a Python 0 needs a copy that the CPU waits for
            encoder_hidden_states=image_tokens,
            cross_attention_kwargs={"context": context},
        )
        return context.features
