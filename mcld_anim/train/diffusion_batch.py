"""Inputs of one diffusion training step: sources and targets as pictures or latents, and random numbers.

Everything is made on the CPU, the batch possibly in a worker process. The loss moves it to the networks' device and
encodes pictures there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from mcld_anim.model.vae import LatentAutoencoder
from mcld_anim.options.model import LATENT_STRIDE
from mcld_anim.train.latents import to_latents
from mcld_anim.train.loss import face_cells


class Window(NamedTuple):
    """A square of latent cells."""

    top: int
    left: int
    side: int


@dataclass(frozen=True)
class Batch:
    """The P sources and B targets of one step."""

    photo_pixels: Tensor  # (P, 3, side, side) normalised
    texture_pixels: Tensor  # (P, 3, side, side) normalised
    textures: Tensor  # (P, C, h_t, w_t) latents of the UV textures; or uint8 (P, H_t, W_t, 3) RGB
    faces: Tensor  # (P, 1, E)
    source_rows: Tensor  # (B,) int64: index of each target's source
    targets: Tensor  # (B, C, h, w) clean latents; or uint8 (B, H, W, 3) RGB
    warped_sources: Tensor | None  # (B, C + 1, h, w); or uint8 (B, H, W, 4), see `PreparedPerson.warped_sources`
    headless: Tensor  # (B,) bool: whether the warped source hides the head
    iuv: Tensor  # uint8 (B, H, W, 3)

    def to(self, device: torch.device) -> Batch:
        """The batch on a device."""
        return _sent(self, [entry.name for entry in fields(self)], device)

    def encoded(self, vae: LatentAutoencoder) -> Batch:
        """The batch as the networks read it: pictures encoded to latents, and warped sources zeroed, with their
        validity, over the heads of `headless` rows. The autoencoder must be on the batch's device.
        """
        warped = None if self.warped_sources is None else to_latents(vae, self.warped_sources)
        if warped is not None:
            head = face_cells(self.iuv[..., 0], (warped.shape[2], warped.shape[3]))
            warped = warped.masked_fill(head & self.headless[:, None, None, None], 0.0)
        return replace(
            self,
            textures=to_latents(vae, self.textures),
            targets=to_latents(vae, self.targets),
            warped_sources=warped,
            headless=torch.zeros_like(self.headless),
        )


@dataclass(frozen=True)
class Draws:
    """The random numbers of a step with P sources and B targets, drawn on the CPU: the same for every device."""

    noise: Tensor  # (B, C, h, w), offset included
    timesteps: Tensor  # (B,) int64
    dropped: Tensor  # (B,) bool: rows without conditions; stays on the CPU, which reads it
    embedding_noise: Tensor  # (P, 1, D), scaled by the options' standard deviation

    def to(self, device: torch.device) -> Draws:
        """The draws, with everything that the networks read on a device."""
        return _sent(self, ["noise", "timesteps", "embedding_noise"], device)


def crop_planes(planes: np.ndarray, window: Window | None) -> np.ndarray:
    """Crop one view, a picture or IUV (H, W, K) uint8 or latents (C, h, w), to a window; None keeps all of it."""
    if window is None:
        return planes
    pictured = planes.dtype == np.uint8
    top, left, side = (cells * (LATENT_STRIDE if pictured else 1) for cells in window)
    rows, columns = slice(top, top + side), slice(left, left + side)
    return planes[rows, columns] if pictured else planes[:, rows, columns]


def as_tensor(arrays: Sequence[np.ndarray]) -> Tensor:
    """Arrays of one shape stacked to a tensor: uint8 for pictures, float32 for everything else."""
    rows = torch.from_numpy(np.stack(arrays))
    return rows if rows.dtype == torch.uint8 else rows.float()


Rows = TypeVar("Rows", Batch, Draws)


def _sent(rows: Rows, names: Sequence[str], device: torch.device) -> Rows:
    """Copy with the named tensors on a device.

    The copy is non-blocking on CUDA only: CUDA stages pageable memory before the call returns, whereas other devices
    read it later, when it may be gone.
    """
    ahead = device.type == "cuda"
    tensors = {name: getattr(rows, name) for name in names}
    return replace(rows, **{name: t.to(device, non_blocking=ahead) for name, t in tensors.items() if t is not None})
