"""Evaluation of the diffusion model on development people: full-size samples beside source, warped source and truth."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mcld_anim.core.pixels import to_levels
from mcld_anim.core.tensors import Latents
from mcld_anim.metrics.pictures import psnr
from mcld_anim.model.attention import ProjectedAppearance
from mcld_anim.model.denoiser import Denoiser
from mcld_anim.model.focal import route_tokens
from mcld_anim.model.vae import LatentAutoencoder
from mcld_anim.options.model import ModelOptions
from mcld_anim.pose.condition import network_condition
from mcld_anim.sampling.denoise import denoise
from mcld_anim.sampling.noise import start_noise
from mcld_anim.sampling.schedule import make_scheduler
from mcld_anim.train.loop import device_of
from mcld_anim.train.prepared_people import Examples, PreparedPerson, with_latents


@torch.no_grad()
def measure_people(
    networks: nn.ModuleDict,
    vae: LatentAutoencoder,
    model: ModelOptions,
    people: Examples,
    count: int,
    steps: int,
    guidance: float,
    targets: int = 2,
    sheet: Path | None = None,
) -> dict[str, float]:
    """Mean PSNR (dB) over `count` development people, from source view 0 to the last `targets` views warped from it.

    `inside`: generated, inside the person; `warped_source`: the warped source alone, through the autoencoder, if the
    model has one; `ceiling`: the truth through the autoencoder; `background`: generated, outside the person. `sheet`
    gets one row per person: the source, then warped source, generated frame and truth of each target.
    """
    numbers = people.development or people.training
    device = device_of(networks)
    vae = vae.to(device)
    chosen = [numbers[k] for k in np.linspace(0, len(numbers) - 1, min(count, len(numbers))).round().astype(int)]
    metrics: dict[str, list[float]] = {}
    rows = []
    for number in chosen:
        person = with_latents(people.person(number), vae)
        views = person.targets(0)[-targets:]
        seen = [people.target(number, view) for view in views]
        latents = generate(networks, model, person, [iuv for _, iuv in seen], views, steps, guidance)
        decoded = {"inside": latents, "ceiling": _floats(person.views[views], device)}
        warped = _warped_sources(model, person, views, device)
        if warped is not None:
            decoded = {"warped_source": warped[:, :-1], **decoded}
        pictures = {name: to_pictures(vae.decode(planes)) for name, planes in decoded.items()}
        row = [people.source(number, 0)[0]]
        for index, (truth, iuv) in enumerate(seen):
            mask = iuv[..., 0] > 0
            for name, frames in pictures.items():
                metrics.setdefault(name, []).append(psnr(frames[index], truth, mask))
            metrics.setdefault("background", []).append(psnr(pictures["inside"][index], truth, ~mask))
            row += [pictures[name][index] for name in ("warped_source", "inside") if name in pictures] + [truth]
        rows.append(np.concatenate(row, axis=1))
    if sheet is not None:
        Image.fromarray(np.concatenate(rows)).save(sheet)
    return {name: float(np.mean(values)) for name, values in metrics.items()}


def generate(
    networks: nn.ModuleDict,
    model: ModelOptions,
    person: PreparedPerson,
    iuvs: list[np.ndarray],
    views: list[int],
    steps: int,
    guidance: float,
    source: int = 0,
    seed: int = 0,
) -> Latents:
    """Generated latents (F, C, h, w) of one of a person's sources in the poses of `views`; `person` holds latents."""
    device = device_of(networks)
    appearance = _appearance(networks, model, person, source)
    conditions = network_condition(torch.from_numpy(np.stack(iuvs)).to(device), model.pose_guider)
    features = networks["pose_guider"](conditions, _warped_sources(model, person, views, device))
    noise = start_noise((model.unet.in_channels, *model.latent_size), seed, range(len(iuvs))).to(device)

    def predict(latents: Tensor, timestep: int) -> Tensor | tuple[Tensor, Tensor]:
        return networks["denoiser"](latents, timestep, features, appearance, guided=guidance > 1)

    return denoise(predict, noise, make_scheduler(model.schedule), steps, guidance)


def to_pictures(pixels: Tensor) -> np.ndarray:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) uint8, clamped and rounded."""
    return to_levels(pixels).permute(0, 2, 3, 1).cpu().numpy()


def _appearance(
    networks: nn.ModuleDict, model: ModelOptions, person: PreparedPerson, source: int
) -> ProjectedAppearance:
    encoder, row, device = networks["image_encoder"], slice(source, source + 1), device_of(networks)
    image = encoder(pixel_values=_floats(person.photo_pixels[row], device)).image_embeds[:, None]
    texture = encoder(pixel_values=_floats(person.texture_pixels[row], device)).image_embeds[:, None]
    face = networks["face_tokens"](_floats(person.faces[row], device)[:, None])
    tokens = route_tokens(image, texture, face, model.conditions, model.aggregation)
    denoiser = cast("Denoiser", networks["denoiser"])
    return denoiser.project_source(networks["reference_net"](_floats(person.textures[row], device), image), tokens)


def _warped_sources(
    model: ModelOptions, person: PreparedPerson, views: list[int], device: torch.device
) -> Tensor | None:
    """Latents of the warped sources (F, C + 1, h, w); None for models without them."""
    if model.pose_guider.warped_source == "none" or person.warped_sources is None:
        return None
    return _floats(person.warped_sources[views], device)


def _floats(array: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.asarray(array)).float().to(device)
