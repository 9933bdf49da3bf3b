"""Case f: the whole published pipeline, from PNG pictures and initial noise to decoded pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mcld_anim.core.arrays import Picture, SizedPicture
from mcld_anim.core.errors import ParityError
from mcld_anim.model.attention import ProjectedAppearance
from mcld_anim.model.build import Mcld
from mcld_anim.model.focal import route_tokens
from mcld_anim.parity.golden import Comparison, Golden, compare, replays
from mcld_anim.parity.network_cases import ONE_PASS, SINGLE_NETWORK, unit_planes
from mcld_anim.sampling.denoise import StepBlending, denoise
from mcld_anim.sampling.schedule import make_scheduler
from mcld_anim.source.clip import clip_pixels

PICTURE_EMBEDDINGS = 1e-4
LATENTS = 5e-4
LATENTS_FLOAT16_FEATURES = 2e-3
DECODED = 1e-3


@dataclass(frozen=True)
class Encoded:
    """The pipeline's encoded inputs, one row per picture."""

    image_tokens: Tensor
    texture_tokens: Tensor
    texture_latents: Tensor
    pose_features: Tensor
    face_tokens: Tensor


@replays("f_pipeline*.safetensors", also=["f_pipeline*.json", "f_pipeline*_inputs.*.png"])
@torch.no_grad()
def pipeline(golden: Golden, case: str) -> Iterator[Comparison]:
    """One run of the published pipeline with its settings: latents after each step, then the pictures."""
    data, settings = golden.tensors(case), golden.json(case)
    mcld = golden.mcld
    encoded = _encode(golden, settings)
    guided = settings["guidance_scale"] > 1
    yield from _compare_encoded(encoded, data, guided)

    def appearance(dtype: torch.dtype | None) -> ProjectedAppearance:
        tokens = route_tokens(encoded.image_tokens, encoded.texture_tokens, encoded.face_tokens)
        features = mcld.reference_net(encoded.texture_latents, encoded.image_tokens)
        return mcld.denoiser.project_source(features, tokens, reference_dtype=dtype)

    exact = _Run(mcld, golden, settings, encoded.pose_features, appearance(None))
    exact.sample(data["start_latents"])
    yield compare("latents, bank float32", exact.latents, data["latents_bank_float32"], LATENTS)
    rounded = _Run(mcld, golden, settings, encoded.pose_features, appearance(torch.float16))
    last = rounded.sample(data["start_latents"])
    yield Comparison("timesteps that differ", rounded.count_wrong_timesteps(data["timesteps"]), 0)
    if "noise_pred" in data:
        predictions = torch.stack(rounded.predictions)[:, :, :, None]
        yield compare("predictions, bank float16", predictions, data["noise_pred"], LATENTS_FLOAT16_FEATURES)
    yield compare("latents, bank float16", rounded.latents, data["latents"], LATENTS_FLOAT16_FEATURES)
    pictures = (mcld.vae.decode(last) / 2 + 0.5).clamp(0, 1)
    yield compare("pictures", pictures[:, :, None], data["images"], DECODED)


def _compare_encoded(encoded: Encoded, data: dict[str, Tensor], guided: bool) -> Iterator[Comparison]:
    """Compare the encoded inputs; a run that shares its inputs with another does not record them again."""
    if "image_embeds" not in data:
        return
    rows = len(encoded.image_tokens)
    yield compare("image_embeds", encoded.image_tokens[:, 0], data["image_embeds"], PICTURE_EMBEDDINGS)
    yield compare("texture_embeds", encoded.texture_tokens[:, 0], data["texture_embeds"], PICTURE_EMBEDDINGS)
    yield compare("face_tokens", encoded.face_tokens, data["face_tokens"], SINGLE_NETWORK)
    yield compare("pose_features", encoded.pose_features[:, :, None], data["pose_features"], SINGLE_NETWORK)
    halves = 2 if guided else 1
    if len(data["ref_latents"]) != halves * rows:
        raise ParityError(f"ref_latents has {len(data['ref_latents'])} rows, expected {halves * rows}")
    yield compare("ref_latents", encoded.texture_latents, data["ref_latents"][-rows:], ONE_PASS)
    yield compare("reference tokens", encoded.image_tokens, data["reference_tokens"][-rows:], PICTURE_EMBEDDINGS)


class _Run:
    """Samples with `mcld_anim.sampling.denoise` and keeps every step's latents, timestep and prediction."""

    def __init__(
        self,
        mcld: Mcld,
        golden: Golden,
        settings: dict[str, Any],
        pose_features: Tensor,
        appearance: ProjectedAppearance,
    ) -> None:
        schedule = replace(golden.options.schedule, beta_schedule=settings["beta_schedule"])
        self.scheduler = make_scheduler(schedule)
        self.mcld, self.pose_features, self.appearance = mcld, pose_features, appearance
        self.steps, self.guidance = settings["num_inference_steps"], settings["guidance_scale"]
        self.predictions: list[Tensor] = []
        self.timesteps: list[int] = []
        self._latents: list[Tensor] = []

    def sample(self, noise: Tensor) -> Tensor:
        """Latents (B, C, h, w) from the recorded noise."""
        blending = StepBlending(latents=self._keep)
        return denoise(self._predict, noise, self.scheduler, self.steps, self.guidance, blending)

    @property
    def latents(self) -> Tensor:
        """Latents after each step: (steps, B, C, 1, h, w)."""
        return torch.stack(self._latents)[:, :, :, None]

    def count_wrong_timesteps(self, recorded: Tensor) -> int:
        """How many timesteps differ from the recorded ones."""
        ours = torch.tensor(self.timesteps)
        return int((ours != recorded).sum()) if ours.shape == recorded.shape else max(len(ours), len(recorded))

    def _predict(self, latents: Tensor, timestep: int) -> Tensor | tuple[Tensor, Tensor]:
        guided = self.guidance > 1
        prediction = self.mcld.denoiser(latents, timestep, self.pose_features, self.appearance, guided=guided)
        self.timesteps.append(timestep)
        self.predictions.append(torch.cat(prediction) if guided else cast("Tensor", prediction))
        return prediction

    def _keep(self, latents: Tensor, _step: int) -> Tensor:
        self._latents.append(latents)
        return latents


def _encode(golden: Golden, settings: dict[str, Any]) -> Encoded:
    mcld = golden.mcld
    prefix = settings["input_pictures"].partition("{")[0]
    sources, textures, poses = (golden.pictures(f"{prefix}{kind}_") for kind in ("source", "texture", "pose"))
    inputs = golden.tensors(settings["other_inputs_file"].removesuffix(".safetensors"))
    if "PIL" in settings["given_as"]:  # the published pipeline then resizes to the requested size
        size = settings["height"], settings["width"]
        textures, poses = ([_resized(picture, size) for picture in given] for given in (textures, poses))
        raw_textures = golden.pictures(f"{prefix}texture_")
    else:
        raw_textures = textures

    def embeddings(pictures: list[Picture]) -> Tensor:
        pixels = torch.cat([clip_pixels(picture, golden.options.image_encoder) for picture in pictures])
        return mcld.image_encoder(pixel_values=pixels).image_embeds[:, None]

    return Encoded(
        image_tokens=embeddings(sources),
        texture_tokens=embeddings(raw_textures),
        texture_latents=mcld.vae.encode(unit_planes(textures) * 2 - 1),
        pose_features=mcld.pose_guider(unit_planes(poses)),
        face_tokens=mcld.face_tokens(inputs["face_emb"]),
    )


def _resized(picture: Picture, size: tuple[int, int]) -> SizedPicture:
    """Resize to (height, width) as diffusers' VaeImageProcessor resizes PIL pictures."""
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.LANCZOS))
