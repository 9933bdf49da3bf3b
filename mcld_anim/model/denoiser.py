"""The denoising UNet: predicts v for noisy latents from pose features and a source's appearance."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mcld_anim.model.attention import DenoiserContext, KeyValues, ProjectedAppearance, project_key_values
from mcld_anim.model.attention_maps import AttentionRecord
from mcld_anim.model.feature_reuse import FeatureReuse, Layers, run_layers
from mcld_anim.model.focal import FocalTokens
from mcld_anim.model.reference_net import ReferenceFeatures
from mcld_anim.model.unet import build_denoising_unet, transformer_blocks
from mcld_anim.options.model import UNetOptions


class Denoiser(nn.Module):
    """A Stable Diffusion UNet with mutual self-attention and focal cross attention, see `model.attention`."""

    def __init__(self, options: UNetOptions, face_scale: float) -> None:
        super().__init__()
        self.unet = build_denoising_unet(options, face_scale)

    def enable_gradient_checkpointing(self) -> None:
        """Recompute each block in the backward pass: training takes less memory and more time."""
        self.unet.enable_gradient_checkpointing()

    def project_source(
        self, reference: ReferenceFeatures, tokens: FocalTokens, reference_dtype: torch.dtype | None = None
    ) -> ProjectedAppearance:
        """Project a source to keys and values, once for all frames and steps.

        reference_dtype: the precision to which reference features are rounded first. The published code stores them
        in float16 whatever its compute dtype; None (no rounding) is more exact.
        """
        reference_kv: dict[str, KeyValues] = {}
        token_kv: dict[str, KeyValues] = {}
        face_kv: dict[str, KeyValues] = {}
        for layer, block in transformer_blocks(self.unet):
            own, cross = block.attn1, block.attn2
            features = reference[layer]
            if reference_dtype is not None:
                features = features.to(reference_dtype).to(features.dtype)
            reference_kv[layer] = project_key_values(own.to_k, own.to_v, features, own.heads)
            stage = tokens.stage(layer)
            if stage is not None:
                token_kv[layer] = project_key_values(cross.to_k, cross.to_v, stage, cross.heads)
            if tokens.face is not None:
                branch = cross.processor
                face_kv[layer] = project_key_values(branch.to_k_ip, branch.to_v_ip, tokens.face, cross.heads)
        rows = len(next(iter(reference.values())))
        if tokens.rows not in (None, rows):
            raise ValueError(f"{rows} sources in the reference features, but {tokens.rows} in the tokens")
        return ProjectedAppearance(rows, reference_kv, token_kv, face_kv)

    def forward(
        self,
        latents: Float[Tensor, "batch channels h w"],
        timestep: int | Tensor,
        pose_features: Float[Tensor, "poses c0 h w"],
        appearance: ProjectedAppearance,
        guided: bool = False,
        dropped: Bool[Tensor, " batch"] | None = None,
        record: AttentionRecord | None = None,
        reuse: FeatureReuse | None = None,
        layers: Layers | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Predict v, (B, C, h, w), or with `guided` the pair (unconditional, conditional) of such tensors.

        latents: (B, C, h, w) noisy latents, one frame per row.
        timestep: one for all rows, or (B,).
        pose_features: (B, C0, h, w) or (1, C0, h, w) from the Pose Guider; both halves of the pair read them.
        appearance: from `project`, of one source for all rows or of B sources.
        dropped: (B,) bool, training only: rows trained unconditionally, without reference features and tokens. Keep it
        on the CPU, which reads it: reading it from another device would synchronise.
        record: takes the attention maps of the last frame.
        reuse: the deep features of these frames, read or replaced; None: all layers run. Not for training.
        layers: `run_layers`, compiled.
        """
        frames = len(latents)
        timesteps = self._timesteps(latents, timestep)
        inputs = torch.cat([latents, pose_features.expand(frames, -1, -1, -1)], dim=1)
        if appearance.rows not in (1, frames):
            raise ValueError(f"appearance of {appearance.rows} sources for {frames} frames, expected 1 or {frames}")
        if guided:
            if dropped is not None:
                raise ValueError("guided and dropped exclude each other: dropping belongs to training")
            context = DenoiserContext(appearance, unconditional_rows=frames, record=record)
            unconditional, conditional = self._predict(
                torch.cat([inputs, inputs]), torch.cat([timesteps, timesteps]), context, reuse, layers
            ).chunk(2)
            return unconditional, conditional
        if dropped is None or not bool(dropped.any()):
            context = DenoiserContext(appearance, unconditional_rows=0, record=record)
            return self._predict(inputs, timesteps, context, reuse, layers)
        return self._predict_dropped(inputs, timesteps, appearance, dropped)

    @staticmethod
    def _timesteps(latents: Tensor, timestep: int | Tensor) -> Int[Tensor, " batch"]:
        """One a row. A number fills a tensor on the device: copying it there would be waited for at each step."""
        if isinstance(timestep, Tensor):
            return timestep.to(latents.device).expand(len(latents))
        return latents.new_full((len(latents),), timestep, dtype=torch.int64)

    def _predict_dropped(
        self, inputs: Tensor, timesteps: Tensor, appearance: ProjectedAppearance, dropped: Tensor
    ) -> Tensor:
        """Sort the dropped rows to the front, predict, and restore the order."""
        order = torch.argsort((~dropped).to(torch.uint8), stable=True)
        order = order.to(inputs.device, non_blocking=inputs.is_cuda)  # see `train.diffusion_batch`
        unconditional = int(dropped.sum())
        conditional = appearance if appearance.rows == 1 else appearance.select(order[unconditional:])
        sorted_rows = self._predict(inputs[order], timesteps[order], DenoiserContext(conditional, unconditional))
        return sorted_rows[torch.argsort(order)]

    def _predict(
        self,
        inputs: Tensor,
        timesteps: Tensor,
        context: DenoiserContext,
        reuse: FeatureReuse | None = None,
        layers: Layers | None = None,
    ) -> Tensor:
        if reuse is not None or layers is not None:
            guided = context.unconditional_rows > 0
            kept = None if reuse is None else reuse.deep(guided)
            predicted, deep = (layers or run_layers)(self.unet, inputs, timesteps, context, kept)
            if reuse is not None and kept is None:
                reuse.keep(deep, guided)
            return predicted
        return self.unet(
            inputs,
            timesteps,
            encoder_hidden_states=None,  # the tokens travel in the context, already projected
            cross_attention_kwargs={"context": context},
            return_dict=False,
        )[0]
