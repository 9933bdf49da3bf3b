"""The warped source, the source's colours in the target's pose (see `pose.condition`), as tensors for the networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.pixels import to_signed
from mcld_anim.core.tensors import placed
from mcld_anim.model.vae import LatentAutoencoder

Planes = Float[Tensor, "frames 1 height width"]


@dataclass(frozen=True, eq=False)
class WarpedSources:
    """The warped sources of a batch of frames. Training and sampling build them here, so both see the same numbers."""

    pictures: Float[Tensor, "frames 3 height width"]
    """In [-1, 1]."""
    validity: Planes
    """1 where the colour was seen in the source photo, 0 where it is a guess."""
    person: Planes
    """1 inside the target's IUV."""

    @classmethod
    def stack(
        cls,
        pictures: Sequence[Picture],
        validity: Sequence[Float[np.ndarray, "H W"]],
        poses: Sequence[Iuv],
        like: Tensor,
    ) -> WarpedSources:
        """From the results of `warped_source` for each of the `poses`, on the device and in the dtype of `like`."""
        pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
        person = torch.from_numpy(np.stack([pose[..., 0] > 0 for pose in poses]))[:, None]
        shares = torch.from_numpy(np.stack(validity))[:, None]
        return cls(to_signed(placed(pixels, like)), placed(shares, like), placed(person, like))

    def encode(self, vae: LatentAutoencoder) -> Float[Tensor, "frames warp_channels height_8 width_8"]:
        """[scaled latents of the pictures ; share of valid pixels per latent cell], the Pose Guider's input."""
        return encode_warped_sources(vae, self.pictures, self.validity)


def encode_warped_sources(
    vae: LatentAutoencoder, pictures: Float[Tensor, "frames 3 height width"], validity: Planes
) -> Float[Tensor, "frames warp_channels height_8 width_8"]:
    """`WarpedSources.encode` for pictures and validity alone."""
    latents = vae.encode(pictures.to(next(vae.parameters())))
    share = adaptive_avg_pool2d(validity.to(latents), (latents.shape[2], latents.shape[3]))
    return torch.cat([latents, share], dim=1)
