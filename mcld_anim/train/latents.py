"""Pictures as latents of the frozen autoencoder, for prepared people and for the loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mcld_anim.core.pixels import to_signed
from mcld_anim.model.vae import LatentAutoencoder
from mcld_anim.model.warped_source import encode_warped_sources
from mcld_anim.train.loop import device_of


@torch.no_grad()
def to_latents(vae: LatentAutoencoder, planes: Tensor) -> Float[Tensor, "n channels height_8 width_8"]:
    """Scaled latents (n, C, h, w) of uint8 RGB pictures (n, H, W, 3), without gradient; the posterior's mean.

    A fourth channel, 255 where a warped source's colour was seen, becomes one more channel of the result: the share of
    such pixels in each cell. Latents (float) are returned unchanged. `planes` must be on the autoencoder's device.
    Raises UsageError if a side is not a multiple of 8.

    The computation is in the autoencoder's own format, float32, even under autocast. The latents are then those of the
    prepared files, up to half precision and the device's rounding, and nothing leaves float16's range, as Stable
    Diffusion autoencoders are known to do. The published training encodes in its mixed-precision format. Without
    gradients float32 costs little memory, and on GPUs PyTorch rounds the inputs of float32 convolutions to TF32, which
    keeps the range.
    """
    if planes.dtype != torch.uint8:
        return planes
    weights = next(vae.parameters())
    channels = planes.permute(0, 3, 1, 2)
    pixels = to_signed(channels[:, :3].to(weights))
    with torch.autocast(weights.device.type, enabled=False):
        if channels.shape[1] == 3:
            return vae.encode(pixels)
        return encode_warped_sources(vae, pixels, channels[:, 3:].to(weights) / 255)


def encode_pictures(
    vae: LatentAutoencoder, pictures: Sequence[UInt8[np.ndarray, "height width planes"]]
) -> Float[Tensor, "n channels height_8 width_8"]:
    """`to_latents` of pictures or hints of one size, on the autoencoder's device."""
    return to_latents(vae, torch.from_numpy(np.stack(pictures)).to(device_of(vae)))
