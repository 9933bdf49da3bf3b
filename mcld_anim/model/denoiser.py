"""The denoising UNet: predicts v for noisy latents from pose features and a source's appearance."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mcld_anim.model.attention import AppearanceKeys, DenoiserContext, KeysValues, project
from mcld_anim.model.focal import FocalTokens
from mcld_anim.model.reference_net import ReferenceFeatures
from mcld_anim.model.unet import build_denoising_unet, transformer_blocks
from mcld_anim.options.model import UNetOptions


class Denoiser(nn.Module):
    """A Stable Diffusion UNet with the attention of `model.attention`: mutual to the reference, and focal."""

    def __init__(self, options: UNetOptions, face_scale: float) -> None:
        super().__init__()
        self.unet = build_denoising_unet(options, face_scale)

    def enable_gradient_checkpointing(self) -> None:
        """Trade time for memory in training: recompute each block in the backward pass."""
        self.unet.enable_gradient_checkpointing()

    def project(
        self, reference: ReferenceFeatures, tokens: FocalTokens, reference_dtype: torch.dtype | None = None
    ) -> AppearanceKeys:
        """Project a source to keys and values, once for all frames and steps.

        reference_dtype: round the reference features to this precision first. The published code hands them
        over in float16 whatever it computes in; None (no rounding) is more exact.
        """
        by_layer: dict[str, KeysValues] = {}
        token_keys: dict[str, KeysValues] = {}
        face_keys: dict[str, KeysValues] = {}
        for layer, block in transformer_blocks(self.unet):
            own, cross = block.attn1, block.attn2
            features = reference[layer]
            if reference_dtype is not None:
                features = features.to(reference_dtype).to(features.dtype)
            by_layer[layer] = project(own.to_k, own.to_v, features, own.heads)
            stage = tokens.stage(layer)
            if stage is not None:
                token_keys[layer] = project(cross.to_k, cross.to_v, stage, cross.heads)
            if tokens.face is not None:
                branch = cross.processor
                face_keys[layer] = project(branch.to_k_ip, branch.to_v_ip, tokens.face, cross.heads)
        rows = len(next(iter(reference.values())))
        if tokens.rows not in (None, rows):
            raise ValueError(f"{rows} sources in the reference features, but {tokens.rows} in the tokens")
        return AppearanceKeys(rows, by_layer, token_keys, face_keys)

    def forward(
        self,
        latents: Float[Tensor, "batch channels h w"],
        timestep: int | Tensor,
        pose_features: Float[Tensor, "poses c0 h w"],
        appearance: AppearanceKeys,
        guided: bool = False,
        dropped: Bool[Tensor, " batch"] | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Predict v, (B, C, h, w), or with `guided` the pair (unconditional, conditional) of such tensors.

        latents: (B, C, h, w) noisy latents, one frame per row.
        timestep: one for all rows, or (B,).
        pose_features: (B, C0, h, w) or (1, C0, h, w) from the Pose Guider; both guidance halves see them.
        appearance: from `project`, of one source for all rows or of B sources.
        dropped: (B,) bool, training only: rows that see neither reference nor tokens. Best left on the CPU, which
        reads it: it would have to wait for another device.
        """
        frames = len(latents)
        timesteps = torch.as_tensor(timestep, device=latents.device).expand(frames)
        inputs = torch.cat([latents, pose_features.expand(frames, -1, -1, -1)], dim=1)
        if appearance.rows not in (1, frames):
            raise ValueError(f"appearance of {appearance.rows} sources for {frames} frames, expected 1 or {frames}")
        if guided:
            if dropped is not None:
                raise ValueError("guided and dropped exclude each other: dropping belongs to training")
            context = DenoiserContext(appearance, plain_rows=frames)
            unconditional, conditional = self._predict(
                torch.cat([inputs, inputs]), torch.cat([timesteps, timesteps]), context
            ).chunk(2)
            return unconditional, conditional
        if dropped is None or not bool(dropped.any()):
            return self._predict(inputs, timesteps, DenoiserContext(appearance, plain_rows=0))
        return self._predict_dropped(inputs, timesteps, appearance, dropped)

    def _predict_dropped(
        self, inputs: Tensor, timesteps: Tensor, appearance: AppearanceKeys, dropped: Tensor
    ) -> Tensor:
        """Sort the dropped rows to the front, predict, and put the rows back in their order."""
        order = torch.argsort((~dropped).to(torch.uint8), stable=True)
        order = order.to(inputs.device, non_blocking=inputs.is_cuda)  # see `train.diffusion_batch`
        plain = int(dropped.sum())
        seen = appearance if appearance.rows == 1 else appearance.select(order[plain:])
        sorted_rows = self._predict(inputs[order], timesteps[order], DenoiserContext(seen, plain))
        return sorted_rows[torch.argsort(order)]

    def _predict(self, inputs: Tensor, timesteps: Tensor, context: DenoiserContext) -> Tensor:
        return self.unet(
            inputs,
            timesteps,
            encoder_hidden_states=None,  # every token travels in the context, already projected
            cross_attention_kwargs={"context": context},
            return_dict=False,
        )[0]
