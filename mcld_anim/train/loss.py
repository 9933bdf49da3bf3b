"""The loss of the diffusion training: v-prediction, min-SNR weights, and extra weight on the face.

The published loss is the mean over samples of w * (mean e + mean(face * e)), where e is the squared error of v. The
face counts double; its mean is over all cells, not only those of the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from mcld_anim.core.arrays import HEAD_PARTS

PerSample = Float[Tensor, " batch"]
CellMask = Bool[Tensor, "batch 1 height_8 width_8"]


@dataclass(frozen=True)
class LossOptions:
    """Weights of the loss; the defaults are the published ones."""

    snr_gamma: float = 5.0
    """Signal-to-noise ratio (plus 1) above which a timestep is weighted less."""
    snr_floor: float = 0.0
    """Minimum weight of a timestep, so that nearly clean ones are still learned."""
    face_weight: float = 1.0
    """Extra weight of cells that show the face (DensePose parts 23 and 24); 0 = off."""
    face_by_snr: bool = True
    """Whether the min-SNR weight also multiplies the face term."""
    person_weight: float = 0.0
    """Extra weight of cells that show any part of the person; the published loss has none."""
    noise_offset: float = 0.05
    """Standard deviation of an offset per sample and channel, added to the noise (Guttenberg 2023)."""

    def __post_init__(self) -> None:
        for name in ("snr_floor", "face_weight", "person_weight", "noise_offset"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}, expected 0 or more")
        if self.snr_gamma <= 0:
            raise ValueError(f"snr_gamma is {self.snr_gamma}, expected more than 0")


@dataclass(frozen=True)
class LossTerms:
    """The loss and its terms, one value per sample."""

    total: Float[Tensor, ""]
    weights: PerSample
    plain: PerSample
    """Mean squared error of v over all cells and channels."""
    face: PerSample
    """Squared error inside the face, averaged over ALL cells and channels."""


def signal_to_noise(alphas_cumprod: Float[Tensor, " steps"], timesteps: Int[Tensor, " batch"]) -> PerSample:
    """alpha_bar_t / (1 - alpha_bar_t); 0 at the last step of a zero-terminal-SNR schedule."""
    alpha_bar = alphas_cumprod.to(timesteps.device)[timesteps]
    return alpha_bar / (1 - alpha_bar)


def min_snr_weights(snr: PerSample, gamma: float = 5.0, floor: float = 0.0) -> PerSample:
    """min(snr + 1, gamma) / (snr + 1), at least `floor`.

    Hang et al. 2023 (arXiv 2303.09556), section 3.4, has min(snr, gamma) / (snr + 1) for v-prediction; the
    published MCLD code shifts the numerator by one, so that a step of pure noise keeps weight 1 instead of 0.
    """
    return ((snr + 1).clamp(max=gamma) / (snr + 1)).clamp(min=floor)


def face_cells(parts: UInt8[Tensor, "batch height width"], latent_size: tuple[int, int]) -> CellMask:
    """Latent cells that show the face: pixels labelled 23 or 24, resized by nearest neighbour as published.

    The published masks come from bicubically resized labels, whose overshoot makes some false face pixels. Pass `parts`
    unresized to avoid that.
    """
    return _nearest_cells((parts == HEAD_PARTS[0]) | (parts == HEAD_PARTS[1]), latent_size)


def person_cells(parts: UInt8[Tensor, "batch height width"], latent_size: tuple[int, int]) -> CellMask:
    """Latent cells with at least one pixel of the person."""
    shown = functional.adaptive_max_pool2d((parts > 0).float()[:, None], latent_size)
    return shown > 0


def with_noise_offset(
    noise: Float[Tensor, "batch c h w"], offset: Float[Tensor, "batch c 1 1"], strength: float
) -> Float[Tensor, "batch c h w"]:
    """noise + strength * offset, which lets the network learn a picture's mean brightness."""
    return noise + strength * offset


def denoising_loss(
    predicted: Float[Tensor, "batch c h w"],
    target: Float[Tensor, "batch c h w"],
    snr: PerSample,
    face: CellMask,
    options: LossOptions,
    person: CellMask | None = None,
) -> LossTerms:
    """mean_b [ w_b (mean e + person_weight mean(person e)) + face_weight f_b mean(face e) ].

    f_b is w_b with `face_by_snr`, else 1.
    """
    error = (predicted.float() - target.float()).square()
    plain = error.mean((1, 2, 3))
    in_face = (error * face).mean((1, 2, 3))
    weights = min_snr_weights(snr, options.snr_gamma, options.snr_floor)
    everywhere = plain
    if options.person_weight:
        if person is None:
            raise ValueError("person_weight needs the person's cells")
        everywhere = plain + options.person_weight * (error * person).mean((1, 2, 3))
    face_weights = weights if options.face_by_snr else torch.ones_like(weights)
    total = (weights * everywhere + options.face_weight * face_weights * in_face).mean()
    return LossTerms(total, weights, plain, in_face)


def _nearest_cells(mask: Bool[Tensor, "batch height width"], latent_size: tuple[int, int]) -> CellMask:
    return functional.interpolate(mask.float()[:, None], latent_size, mode="nearest") > 0.5
