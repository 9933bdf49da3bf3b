"""The Pose Guider's second input: the hint picture (see `pose.condition.hint_picture`) as latents, and its
validity."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from mcld_anim.arrays import Picture
from mcld_anim.model.vae import LatentAutoencoder


def encode_hint(
    vae: LatentAutoencoder, pictures: Sequence[Picture], validity: Sequence[Float[np.ndarray, "H W"]]
) -> Float[Tensor, "frames channels+1 height_8 width_8"]:
    """[scaled latents of the hint pictures ; share of valid pixels per latent cell], one row per frame.

    All training and sampling make the hint here, so that both see the same numbers.
    """
    like = next(vae.parameters())
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).to(like) / 127.5 - 1
    latents = vae.encode(pixels)
    share = torch.from_numpy(np.stack(validity))[:, None].to(like)
    return torch.cat([latents, adaptive_avg_pool2d(share, (latents.shape[2], latents.shape[3]))], dim=1)
