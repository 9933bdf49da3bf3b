"""Feature reuse between sampling steps: the deep layers of the denoising UNet run only at some of them.

DeepCache (Ma et al. 2024, arXiv 2312.00858, section 3.2): between neighbouring steps the features of the deep layers
hardly change. So a full step keeps what enters the last layers of the up path, and the steps after it run only the
first layers of the down path, whose skip connections those last layers read too. Latents, pose features and timestep
are always fresh, and the shallow layers attend to the source at every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from mcld_anim.model.attention import DenoiserContext

SHALLOW_LAYERS = 2
"""Layers of the up path that run at every step; DeepCache's choice for Stable Diffusion. They read the skip connections
of the first convolution and of the first layer of the down path."""

Layers: TypeAlias = Callable[..., tuple[Tensor, Tensor]]
"""The signature of `run_layers`."""

Layer: TypeAlias = tuple[nn.Module, nn.Module | None]
"""A residual block with its attention, or a downsampler alone."""


@dataclass(eq=False)
class FeatureReuse:
    """The deep features of one batch of frames, from one sampling step to the next."""

    interval: int  # a full step is followed by interval - 1 shallow ones
    age: int = 0  # steps since the full one
    unconditional: Tensor | None = None  # of each frame: what enters the shallow layers of the up path, (F, C, h, w)
    conditional: Tensor | None = None

    def deep(self, guided: bool) -> Tensor | None:
        """The deep features for the rows of the next step; None: it is to be a full one.

        That is so every `interval` steps, and where guidance sets in: nothing is kept of unconditional rows then.
        """
        self.age += 1
        kept = [self.unconditional, self.conditional] if guided else [self.conditional]
        deep = [features for features in kept if features is not None]
        if self.age >= self.interval or len(deep) < len(kept):
            self.unconditional = self.conditional = None  # not held while the full step makes new ones
            return None
        return torch.cat(deep) if guided else deep[0]

    def keep(self, deep: Tensor, guided: bool) -> None:
        """The deep features of a full step's rows; with `guided` the first half is unconditional."""
        self.age = 0
        self.unconditional, self.conditional = deep.chunk(2) if guided else (None, deep)


def run_layers(
    unet: UNet2DConditionModel, inputs: Tensor, timesteps: Tensor, context: DenoiserContext, deep: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The UNet's output and its deep features, which are made unless they are given: then only shallow layers run.

    With all layers it computes what the UNet's own `forward` does. inputs: (B, K, h, w); timesteps: (B,); deep:
    (B, C, h, w).
    """
    embedding = unet.time_embedding(unet.get_time_embed(inputs, timesteps))
    down, up = _down_layers(unet), _up_layers(unet)
    states = unet.conv_in(inputs)
    skips = [states]
    for layer in down if deep is None else down[: SHALLOW_LAYERS - 1]:
        states = _run(layer, states, embedding, context)
        skips.append(states)
    if deep is None:
        states = unet.mid_block(states, embedding, cross_attention_kwargs={"context": context})
        for layer, upsampler in up[:-SHALLOW_LAYERS]:
            states = _run(layer, torch.cat([states, skips.pop()], dim=1), embedding, context)
            if upsampler is not None:
                states = upsampler(states, skips[-1].shape[2:])
        deep = states
    states = deep
    for layer, _ in up[-SHALLOW_LAYERS:]:
        states = _run(layer, torch.cat([states, skips.pop()], dim=1), embedding, context)
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(states))), deep


def _run(layer: Layer, states: Tensor, embedding: Tensor, context: DenoiserContext) -> Tensor:
    module, attention = layer
    states = module(states, embedding) if isinstance(module, ResnetBlock2D) else module(states)
    if attention is None:
        return states
    return attention(states, cross_attention_kwargs={"context": context}, return_dict=False)[0]


def _down_layers(unet: UNet2DConditionModel) -> list[Layer]:
    """Every layer of the down path whose output is a skip connection, in order."""
    layers: list[Layer] = []
    for block in unet.down_blocks:
        layers += [*_layers(block), *((sampler, None) for sampler in block.downsamplers or ())]
    return layers


def _up_layers(unet: UNet2DConditionModel) -> list[tuple[Layer, nn.Module | None]]:
    """Every layer of the up path, in order, with the upsampler after it."""
    layers: list[tuple[Layer, nn.Module | None]] = []
    for block in unet.up_blocks:
        *first, last = _layers(block)
        layers += [*((layer, None) for layer in first), (last, block.upsamplers[0] if block.upsamplers else None)]
    return layers


def _layers(block: Any) -> list[Layer]:
    """Residual blocks and attention of one of diffusers' blocks; some have no attention."""
    attentions = getattr(block, "attentions", None) or [None] * len(block.resnets)
    return list(zip(block.resnets, attentions, strict=True))
