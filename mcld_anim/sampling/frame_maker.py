"""From poses to pictures, for every batch of frames of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mcld_anim.body.clip import ClipFrame
from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import NotFiniteError
from mcld_anim.core.pixels import to_levels
from mcld_anim.core.tensors import Latents
from mcld_anim.model.appearance import SourceAppearance
from mcld_anim.model.attention_maps import AttentionMap, AttentionRecord
from mcld_anim.model.build import Mcld
from mcld_anim.model.vae_tiles import decode_in_tiles
from mcld_anim.pose.condition import network_condition
from mcld_anim.sampling.denoise import Prediction, StepBlending, denoise
from mcld_anim.sampling.frame_views import CropViews, FrameView, FrameViews, stacked
from mcld_anim.sampling.neighbour_blending import NeighbourBlending
from mcld_anim.sampling.noise import parse_noise_mode, start_noise
from mcld_anim.sampling.schedule import make_sampler
from mcld_anim.sampling.settings import FIRST_ATTEMPT, Attempt, SamplingSettings
from mcld_anim.sampling.surface_blending import SurfaceBlending


class FrameMaker:
    """Makes the frames of one clip in order, a batch at a time; frame i does not depend on the batch size.

    Only the state of the blending carries over from batch to batch.
    """

    def __init__(
        self, mcld: Mcld, source: SourceAppearance, settings: SamplingSettings, views: FrameViews | None = None
    ) -> None:
        """`views` None: poses have the model's frame size, and frames are as the networks make them."""
        self.mcld = mcld
        self.source = source
        self.settings = settings
        self._views = views or CropViews(source, mcld.options.pose_guider.warped_source != "none")
        self._scheduler = make_sampler(mcld.options.schedule, settings.sampler)
        self._noise = parse_noise_mode(settings.noise)
        self._train_steps = mcld.options.schedule.train_steps
        self._blending = _blending(settings, mcld.options.latent_size)
        self._weights = next(mcld.denoiser.parameters())  # gives the networks' dtype and device

    def carried(self) -> dict[str, np.ndarray]:
        """What the next batch needs of the last one; empty without blending."""
        return {} if self._blending is None else self._blending.carried()

    def carry(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what another maker of the same clip has `carried`."""
        if self._blending is not None:
            self._blending.carry(arrays)

    def make(self, frames: Sequence[ClipFrame], on_step: Callable[[int, int], None] | None = None) -> list[Picture]:
        """The pictures of the clip's next frames, uint8 (H, W, 3) RGB; `on_step(done, steps)` reports progress.

        After an OutOfMemoryError fewer of them may be asked for.
        """
        views = [self._views.view(frame) for frame in frames]
        blending = None if self._blending is None else self._blending.batch([view.frame for view in views])
        try:
            made = self._synthesised(views, FIRST_ATTEMPT, blending, on_step)
        except torch.OutOfMemoryError:
            if self._blending is not None:
                self._blending.undo()
            raise
        return [self._views.finished(view, picture) for view, picture in zip(views, made, strict=True)]

    def again(self, place: int, frame: ClipFrame, attempt: Attempt) -> Picture:
        """Another attempt at `frame`, which was at `place` of the last batch."""
        steps = self.settings.steps * attempt.step_factor
        blending = None if self._blending is None else self._blending.again(place, steps)
        view = self._views.view(frame)
        (made,) = self._synthesised([view], attempt, blending)
        return self._views.finished(view, made)

    def attention(self, frame: ClipFrame) -> tuple[Picture, dict[str, AttentionMap]]:
        """What the networks make of one frame, without blending, and where each condition acts in it."""
        record, view = AttentionRecord(self.mcld.options.latent_size), self._views.view(frame)
        (made,) = self._synthesised([view], FIRST_ATTEMPT, None, record=record)
        return made, record.maps()

    @torch.inference_mode()
    def _synthesised(
        self,
        views: Sequence[FrameView],
        attempt: Attempt,
        blending: StepBlending | None,
        on_step: Callable[[int, int], None] | None = None,
        record: AttentionRecord | None = None,
    ) -> list[Picture]:
        settings, options = self.settings, self.mcld.options
        shape = (options.vae.latent_channels, *options.latent_size)
        indices = [view.frame.index for view in views]
        noise = start_noise(shape, settings.seed + attempt.seed_shift, indices, self._noise).to(self._weights.device)
        latents = denoise(
            self._predictor(self._pose_features(views), indices, attempt.face_weight, record),
            noise,
            self._scheduler,
            settings.steps * attempt.step_factor,
            settings.guidance_at,
            blending,
            on_step,
        )
        self._check_numbers(latents, views)
        return self._decoded(latents, views)

    def _pose_features(self, views: Sequence[FrameView]) -> Tensor:
        """The Pose Guider's features (F, C0, h, w), computed once per frame and used at every step."""
        small = [view.shrunk(self.mcld.options.frame_size) for view in views]
        warped = stacked(small, self._weights)
        iuvs = torch.from_numpy(np.stack([view.frame.iuv for view in small])).to(self._weights.device)
        condition = network_condition(iuvs, self.mcld.options.pose_guider)
        encoded = None if warped is None else warped.encode(self.mcld.vae).to(self._weights)
        return self.mcld.pose_guider(condition.to(self._weights), encoded)

    def _decoded(self, latents: Latents, views: Sequence[FrameView]) -> list[Picture]:
        """Latents (F, C, h, w) -> pictures of the views' size, uint8 (H, W, 3) RGB."""
        decode, inputs = self.mcld.vae.decode, latents.to(next(self.mcld.vae.parameters()))
        if self.settings.vae_tiling:
            decode = partial(decode_in_tiles, decode)
        decoded = torch.cat([decode(part) for part in inputs.split(self.settings.decoded or len(inputs))])
        if self.mcld.detail is not None:
            warped = stacked([view.shrunk(self.mcld.options.frame_size) for view in views], self._weights)
            assert warped is not None  # guaranteed by ModelOptions
            decoded = self.mcld.detail(decoded, warped.pictures, warped.validity, warped.person)
        size = views[0].frame.iuv.shape[:2]
        if decoded.shape[2:] != size:
            decoded = interpolate(decoded, size=size, mode="bicubic", align_corners=False)
        self._check_numbers(decoded, views)
        levels = to_levels(decoded)
        return list(np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy()))

    def _check_numbers(self, made: Tensor, views: Sequence[FrameView]) -> None:
        """Refuse frames that hold NaN or infinity, which would become black or white without a word."""
        good = torch.isfinite(made).flatten(1).all(1).tolist()
        if not all(good):
            dtype = str(self._weights.dtype).removeprefix("torch.")
            advice = "the weights or an input are damaged" if dtype == "float32" else "--dtype float32 avoids overflow"
            index = views[good.index(False)].frame.index
            raise NotFiniteError(f"the model made NaN or infinity of frame {index} (dtype {dtype}): {advice}")

    def _predictor(
        self, pose_features: Tensor, indices: Sequence[int], face_weight: float, record: AttentionRecord | None
    ) -> Callable[[Tensor, int], Prediction]:
        """The prediction of v in the networks' dtype, for latents in float32, of the frames of these indices."""
        keys, steps = self.source.projected_at(indices).with_face_weight(face_weight), self._train_steps

        def predict(latents: Tensor, timestep: int) -> Prediction:
            inputs, guided = latents.to(self._weights.dtype), self.settings.guidance_at(timestep / steps) > 1
            velocity = self.mcld.denoiser(inputs, timestep, pose_features, keys, guided=guided, record=record)
            return velocity.float() if isinstance(velocity, Tensor) else tuple(part.float() for part in velocity)

        return predict


def _blending(settings: SamplingSettings, latent_size: tuple[int, int]) -> SurfaceBlending | NeighbourBlending | None:
    """The blending of the settings; None if it is off."""
    if settings.blend == 0:
        return None
    if settings.blending == "neighbour":
        return NeighbourBlending(settings.blend, latent_size)
    return SurfaceBlending(settings.blend, settings.steps, latent_size)
