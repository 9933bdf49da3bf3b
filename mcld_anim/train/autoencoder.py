"""Training of the latent autoencoder on crops of rendered people.

The loss is a person-weighted L1 and L2 distance, the L1 distance of the gradients at two scales, and a KL term
(Kingma and Welling 2014) with a small weight, as in Rombach et al. 2022, so that detail survives.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from mcld_anim.core.arrays import HEAD_PARTS
from mcld_anim.core.pixels import to_signed
from mcld_anim.model.vae import LatentAutoencoder, build_vae
from mcld_anim.options.load import to_mapping
from mcld_anim.options.model import LATENT_STRIDE, load_model_options
from mcld_anim.train.loop import LoopOptions, device_of
from mcld_anim.train.views import PeopleViews, ViewsOptions

MIN_COVERAGE = 0.1
"""Fraction of a patch that must show the person for the patch to count in the principal components."""


@dataclass(frozen=True)
class AutoencoderTrainingOptions:
    """Options of the autoencoder's training."""

    model: str = "tiny"
    """Model configuration (name or path) whose `vae` is trained."""
    loop: LoopOptions = field(default_factory=lambda: LoopOptions(minutes=45))
    data: ViewsOptions = field(default_factory=ViewsOptions)
    crop: int = 128
    """Side of the square training crops, in pixels."""
    head_crops: float = 0.3
    """Fraction of the crops centred near the head."""
    person_weight: float = 3.0
    """Weight of a pixel inside the person; 1 outside."""
    gradient_weight: float = 0.5
    square_weight: float = 4.0
    kl_weight: float = 1e-4
    """Weight of the KL divergence per latent element, relative to the loss averaged over pixels."""
    measured_views: int = 64
    linear_views: int = 300
    """Number of views whose patches give the principal components, if the autoencoder has a linear shortcut."""


class AutoencoderTask:
    """The autoencoder, its batches and its evaluation (a `train.loop.Task`)."""

    def __init__(self, options: AutoencoderTrainingOptions, data: Path) -> None:
        self.options = options
        self.views = PeopleViews(data, options.data)
        torch.manual_seed(options.loop.seed)
        vae = load_model_options(options.model).vae
        self.vae = build_vae(vae)
        if vae.linear_shortcut:
            self.vae.set_linear_code(*principal_components(self.views, vae.latent_channels, options.linear_views))
        self.network: nn.Module = self.vae.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(
        self, batch: tuple[Tensor, Tensor], rng: np.random.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of reconstructing one batch of crops from a posterior sample."""
        crops, masks = (planes.to(device_of(self.network)) for planes in batch)
        pictures, person = to_network(crops), masks.float()[:, None]
        posterior = self.vae.encode_posterior(pictures)
        restored = self.vae.decode_raw(posterior.sample())
        weight = 1.0 + (self.options.person_weight - 1.0) * person
        distance = reconstruction_loss(
            restored,
            pictures,
            weight / weight.mean(),
            self.options.square_weight,
            self.options.gradient_weight,
        )
        divergence = posterior.kl().mean() / posterior.mean[0].numel()
        with torch.no_grad():
            inside = psnr_inside(restored, pictures, person)
        metrics = {"distance": distance.detach(), "kl": divergence.detach(), "psnr_inside": inside}
        return distance + self.options.kl_weight * divergence, metrics

    def batch(self, rng: np.random.Generator, progress: float) -> tuple[Tensor, Tensor]:
        """Crops (B, crop, crop, 3) uint8 and person masks (B, crop, crop) bool."""
        pairs = [self._crop(rng) for _ in range(self.options.loop.batch_size)]
        return torch.from_numpy(np.stack([p for p, _ in pairs])), torch.from_numpy(np.stack([m for _, m in pairs]))

    def _crop(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One random crop around a point on the person, mirrored half of the time."""
        picture, iuv = self.views.draw(rng)
        part, side = iuv[..., 0], self.options.crop
        wanted = np.isin(part, HEAD_PARTS) if rng.random() < self.options.head_crops else part > 0
        if not wanted.any():
            wanted = np.ones_like(wanted)
        points = np.argwhere(wanted)
        middle = points[rng.integers(len(points))] + rng.integers(-side // 4, side // 4 + 1, 2)
        top, left = np.clip(middle - side // 2, 0, np.array(part.shape) - side)
        picture, mask = (
            picture[top : top + side, left : left + side],
            part[top : top + side, left : left + side] > 0,
        )
        return (picture[:, ::-1], mask[:, ::-1]) if rng.random() < 0.5 else (picture, mask)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """On development people at full size: PSNR (dB) inside the person and over the frame, latent deviation."""
        assert isinstance(network, LatentAutoencoder)
        self.views.refresh()
        pictures, iuv = self.views.development_views(self.options.measured_views)
        inside, frame, deviation = [], [], []
        for start in range(0, len(pictures), 8):
            batch = to_network(pictures[start : start + 8]).to(device_of(network))
            person = torch.from_numpy(iuv[start : start + 8, ..., 0] > 0).to(batch)[:, None]
            latents = network.encode(batch)
            restored = network.decode(latents)
            for k in range(len(batch)):
                one = slice(k, k + 1)
                inside.append(float(psnr_inside(restored[one], batch[one], person[one])))
                frame.append(float(psnr_inside(restored[one], batch[one], torch.ones_like(person[one]))))
            deviation.append(float(latents.std()))
        metrics = {"psnr_inside": inside, "psnr_frame": frame, "latent_std": deviation}
        return {name: float(np.mean(values)) for name, values in metrics.items()} | {
            "people": float(len(self.views.training))
        }

    def export(self, network: nn.Module) -> tuple[dict[str, Tensor], dict[str, object]]:
        """Weights whose latents, over the development views, have mean 0 per channel and standard deviation 1 overall.

        All channels share one scale, which keeps their proportions: a linear code's first components stay the largest.
        """
        assert isinstance(network, LatentAutoencoder)
        pictures, _ = self.views.development_views(self.options.measured_views)
        parts = np.array_split(pictures, min(8, len(pictures)))
        latents = torch.cat([network.encode(to_network(part).to(device_of(network))) for part in parts])
        mean = latents.mean((0, 2, 3))
        deviation = (latents - mean[:, None, None]).square().mean().sqrt().expand(len(mean))
        vae = to_mapping(load_model_options(self.options.model).vae)
        return standardised(network, mean, deviation), {"network": "autoencoder", "vae": vae}


def principal_components(views: PeopleViews, count: int, view_count: int) -> tuple[Tensor, Tensor]:
    """The first principal components (count, 3, 8, 8) of 8x8 patches that show the person, and the mean colour (3,).

    Components are scaled by standard deviation ** -0.5. That is half-way between latents whose errors are pixel errors
    (no scaling) and latents of equal deviation (-1), where the finest detail would count as much as colour. Pixel
    values are in [-1, 1].
    """
    rng = np.random.default_rng(0)
    patches = []
    for _ in range(view_count):
        picture, iuv = views.draw(rng)
        shown = _patches((iuv[..., :1] > 0).astype(np.float32)).mean((1, 2, 3)) > MIN_COVERAGE
        patches.append(_patches(picture.astype(np.float32) / 127.5 - 1.0)[shown])
    sample = np.concatenate(patches).astype(np.float64)
    mean = sample.mean((0, 2, 3))
    flat = (sample - mean[None, :, None, None]).reshape(len(sample), -1)
    variances, axes = np.linalg.eigh(flat.T @ flat / len(flat))
    variances, axes = variances[::-1][:count], axes[:, ::-1][:, :count]
    basis = (axes / variances**0.25).T.reshape(count, *sample.shape[1:])
    return torch.from_numpy(basis).float(), torch.from_numpy(mean).float()


def _patches(picture: np.ndarray) -> np.ndarray:
    """(H, W, K) -> (H/8 * W/8, K, 8, 8)."""
    cut = "(h down) (w across) plane -> (h w) plane down across"
    return rearrange(picture, cut, down=LATENT_STRIDE, across=LATENT_STRIDE)


def standardised(network: LatentAutoencoder, mean: Tensor, deviation: Tensor) -> dict[str, Tensor]:
    """State dict of the same autoencoder with latents (z - mean) / deviation; mean and deviation per channel (C,).

    The change is folded into the 1x1 convolutions on both sides of the latents: the posterior's mean m becomes
    (m - mean) / deviation, and its log variance is lowered by 2 log(deviation).
    """
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    mean, deviation = mean / network.scaling_factor + network.shift, deviation / network.scaling_factor
    channels = len(mean)
    weight, bias = state["quant_conv.weight"], state["quant_conv.bias"]
    weight[:channels] /= deviation[:, None, None, None]
    bias[:channels] = (bias[:channels] - mean) / deviation
    bias[channels:] -= 2.0 * deviation.log()
    after = state["post_quant_conv.weight"]
    state["post_quant_conv.bias"] += (after[..., 0, 0] * mean).sum(1)
    after *= deviation[None, :, None, None]
    return state


def to_network(pictures: np.ndarray | Tensor) -> Tensor:
    """Pictures (B, H, W, 3) uint8 -> (B, 3, H, W) float in [-1, 1], channels last in memory."""
    planes = pictures if isinstance(pictures, Tensor) else torch.from_numpy(np.ascontiguousarray(pictures))
    tensor = to_signed(planes.permute(0, 3, 1, 2).float())
    return tensor.contiguous(memory_format=torch.channels_last)


def reconstruction_loss(
    restored: Tensor, wanted: Tensor, weight: Tensor, square_weight: float, gradient_weight: float
) -> Tensor:
    """Scalar loss: weighted L1 + square_weight * L2 + gradient_weight * L1 of the gradients at two scales."""
    error = restored - wanted
    total = (weight * (error.abs() + square_weight * error.square())).mean()
    for _ in range(2):
        across = (weight[..., 1:] * (error[..., 1:] - error[..., :-1]).abs()).mean()
        down = (weight[..., 1:, :] * (error[..., 1:, :] - error[..., :-1, :]).abs()).mean()
        total = total + gradient_weight * (across + down)
        error, weight = functional.avg_pool2d(error, 2), functional.avg_pool2d(weight, 2)
    return total


def psnr_inside(restored: Tensor, wanted: Tensor, mask: Tensor) -> Tensor:
    """PSNR (dB) of clamped pictures in [-1, 1] over the pixels of `mask` (B, 1, H, W), pooled over the batch."""
    error = ((restored.clamp(-1, 1) - wanted).square() * mask).sum() / (3.0 * mask.sum()).clamp(min=1.0)
    return -10.0 * torch.log10(error.clamp(min=1e-10) / 4.0)
