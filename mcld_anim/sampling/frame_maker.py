"""From poses to pictures, for every batch of frames of a run."""

from __future__ import annotations

import copy
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
from mcld_anim.core.tensors import Latents, placed
from mcld_anim.model.appearance import SourceAppearance
from mcld_anim.model.attention_maps import AttentionMap, AttentionRecord
from mcld_anim.model.build import Mcld
from mcld_anim.model.compiled import Compiled, filled_up
from mcld_anim.model.feature_reuse import FeatureReuse, Layers, run_layers
from mcld_anim.model.graphs import GraphedLayers
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
        self._like = mcld.like  # gives the networks' dtype and device
        self._views = views or CropViews(source, mcld.options.pose_guider.warped_source != "none")
        self._scheduler = make_sampler(mcld.options.schedule, settings.sampler)
        self._noise = parse_noise_mode(settings.noise)
        self._train_steps = mcld.options.schedule.train_steps
        self._blending = _blending(settings, mcld.options.latent_size, self._like.float())
        self._decode: Callable[[Latents], Tensor] = mcld.vae.decode
        self._graphs = self._new_graphs(run_layers)
        self._layers: Layers | None = self._graphs  # None: the denoiser's own way
        self._batch = 0  # frames that compiled networks take at a time

    def carried(self) -> dict[str, np.ndarray]:
        """What the next batch needs of the last one; empty without blending."""
        return {} if self._blending is None else self._blending.carried()

    def carry(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what another maker of the same clip has `carried`."""
        if self._blending is not None:
            self._blending.carry(arrays)

    @torch.inference_mode()
    def compile(
        self,
        frames: int,
        on_failure: Callable[[str], None],
        on_kind: Callable[[int, int], None] = lambda done, of: None,
    ) -> None:
        """Compile the steps and the decoding of batches of so many frames, up to which smaller ones are filled from
        then on.

        `on_failure`: see `Compiled`. `on_kind(done, of)` is called with the kinds of steps, which differ in guidance
        and in whether deep features are reused.
        """
        compiled = Compiled(run_layers, on_failure)
        self._graphs = self._new_graphs(compiled)
        self._layers, self._batch = self._graphs or compiled, frames
        self._decode = Compiled(self.mcld.vae.decode, on_failure)
        options, scheduler, timesteps = self.mcld.options, copy.deepcopy(self._scheduler), {}
        scheduler.set_timesteps(self.settings.steps)
        for timestep in (int(timestep) for timestep in scheduler.timesteps):
            timesteps[self._is_guided(timestep)] = timestep
        latents = self._like.new_zeros(frames, options.unet.in_channels, *options.latent_size)
        pose = self._like.new_zeros(frames, options.unet.block_out_channels[0], *options.latent_size)
        repeats = min(self.settings.reuse_features, 2)
        with self.mcld.using(self.mcld.denoiser):
            for done, timestep in enumerate(timesteps.values()):
                on_kind(done * repeats, len(timesteps) * repeats)
                predict = self._predictor(pose, [0] * frames, 1.0, None)
                for _ in range(repeats):
                    predict(latents, timestep)
        with self.mcld.using(*self.mcld.vae.decoding):
            self._decode_parts(latents.new_zeros(frames, options.vae.latent_channels, *options.latent_size))
        on_kind(len(timesteps) * repeats, len(timesteps) * repeats)

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
            if self._graphs is not None:
                self._graphs.give_up()
            self._batch = min(self._batch, len(frames) // 2)
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
        noise = start_noise(shape, settings.seed + attempt.seed_shift, indices, self._noise)
        predict = self._predictor(self._pose_features(views), indices, attempt.face_weight, record)
        with self.mcld.using(self.mcld.denoiser):
            latents = denoise(
                predict,
                placed(noise, self._like.float()),
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
        mcld, like = self.mcld, self._like
        small = [view.shrunk(mcld.options.frame_size) for view in views]
        warped, encoded = stacked(small, like), None
        iuvs = placed(torch.from_numpy(np.stack([view.frame.iuv for view in small])), like.to(torch.uint8))
        if warped is not None:
            with mcld.using(*mcld.vae.encoding):
                encoded = warped.encode(mcld.vae).to(like)
        with mcld.using(mcld.pose_guider):
            return mcld.pose_guider(network_condition(iuvs, mcld.options.pose_guider).to(like), encoded)

    def _decoded(self, latents: Latents, views: Sequence[FrameView]) -> list[Picture]:
        """Latents (F, C, h, w) -> pictures of the views' size, uint8 (H, W, 3) RGB."""
        mcld = self.mcld
        with mcld.using(*mcld.vae.decoding):
            decoded = self._decode_parts(filled_up(latents.to(self._like), self._batch))[: len(views)]
        if mcld.detail is not None:
            warped = stacked([view.shrunk(mcld.options.frame_size) for view in views], self._like)
            assert warped is not None  # guaranteed by ModelOptions
            with mcld.using(mcld.detail):
                decoded = mcld.detail(decoded, warped.pictures, warped.validity, warped.person)
        size = views[0].frame.iuv.shape[:2]
        if decoded.shape[2:] != size:
            decoded = interpolate(decoded, size=size, mode="bicubic", align_corners=False)
        self._check_numbers(decoded, views)
        levels = to_levels(decoded)
        return list(np.ascontiguousarray(levels.permute(0, 2, 3, 1).cpu().numpy()))

    def _decode_parts(self, latents: Latents) -> Tensor:
        """Pictures (F, 3, H, W), as many at a time as there is memory for."""
        decode = partial(decode_in_tiles, self._decode) if self.settings.vae_tiling else self._decode
        return torch.cat([decode(part) for part in latents.split(self.settings.decoded or len(latents))])

    def _new_graphs(self, layers: Layers) -> GraphedLayers | None:
        """Where steps can be replayed: on CUDA, with the denoiser's weights in one place and memory to spare."""
        possible = self._like.is_cuda and self.mcld.offload is None and self.settings.graphs
        return GraphedLayers(layers) if possible else None

    def _check_numbers(self, made: Tensor, views: Sequence[FrameView]) -> None:
        """Refuse frames that hold NaN or infinity, which would become black or white without a word."""
        good = torch.isfinite(made).flatten(1).all(1).tolist()
        if not all(good):
            dtype = str(self._like.dtype).removeprefix("torch.")
            advice = "the weights or an input are damaged" if dtype == "float32" else "--dtype float32 avoids overflow"
            index = views[good.index(False)].frame.index
            raise NotFiniteError(f"the model made NaN or infinity of frame {index} (dtype {dtype}): {advice}")

    def _predictor(
        self, pose_features: Tensor, indices: Sequence[int], face_weight: float, record: AttentionRecord | None
    ) -> Callable[[Tensor, int], Prediction]:
        """The prediction of v in the networks' dtype, for latents in float32, of the frames of these indices."""
        interval, frames = self.settings.reuse_features, len(indices)
        reuse, layers = None if interval == 1 else FeatureReuse(interval), self._layers if record is None else None
        rows = frames if record is not None else max(frames, self._batch)
        pose_features = filled_up(pose_features, rows)
        keys = self.source.projected_at([*indices, *[indices[-1]] * (rows - frames)]).with_face_weight(face_weight)

        def predict(latents: Tensor, timestep: int) -> Prediction:
            inputs, guided = filled_up(latents.to(self._like.dtype), rows), self._is_guided(timestep)
            velocity = self.mcld.denoiser(
                inputs, timestep, pose_features, keys, guided=guided, record=record, reuse=reuse, layers=layers
            )
            if isinstance(velocity, Tensor):
                return velocity[:frames].float()
            unconditional, conditional = (part[:frames].float() for part in velocity)
            return unconditional, conditional

        return predict

    def _is_guided(self, timestep: int) -> bool:
        return self.settings.guidance_at(timestep / self._train_steps) > 1


def _blending(
    settings: SamplingSettings, latent_size: tuple[int, int], like: Tensor
) -> SurfaceBlending | NeighbourBlending | None:
    """The blending of the settings, of latents like this tensor; None if it is off."""
    if settings.blend == 0:
        return None
    if settings.blending == "neighbour":
        return NeighbourBlending(settings.blend, latent_size, like)
    return SurfaceBlending(settings.blend, settings.steps, latent_size, like)
