"""The latent autoencoder: diffusers' AutoencoderKL behind a pixel-unshuffle, which keeps a small one fast.

With patch size 1 it is the published VAE with the published keys. With patch size 4 the convolutions run at a quarter
of the picture's resolution on 48 channels, at a sixteenth of the cost. An optional linear shortcut encodes 8x8 patches
in parallel ("residual autoencoding", DC-AE, Chen et al. 2024, arXiv 2410.10733): a small autoencoder then starts from
the best linear one, the principal components, instead of from scratch.
"""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mcld_anim.core.errors import UsageError
from mcld_anim.options.model import LATENT_STRIDE, VaeOptions

Pictures = Float[Tensor, "batch 3 height width"]
LatentMaps = Float[Tensor, "batch channels height_8 width_8"]


INITIAL_LOG_VARIANCE = -6.0
"""Log variance of the posterior before training from a linear code: deviation 0.05, little noise on unit latents."""


class LatentAutoencoder(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1] <-> latents (B, C, H/8, W/8) of about unit deviation."""

    def __init__(self, network: AutoencoderKL, options: VaeOptions) -> None:
        super().__init__()
        # The submodules, not the network itself: the keys are then the published ones.
        self.encoder, self.decoder = network.encoder, network.decoder
        self.quant_conv, self.post_quant_conv = network.quant_conv, network.post_quant_conv
        self.patch_size = options.patch_size
        self.latent_channels = options.latent_channels
        self.scaling_factor = options.scaling_factor
        self.shift = options.shift
        self.linear_encoder: nn.Conv2d | None = None
        self.linear_decoder: nn.ConvTranspose2d | None = None
        if options.linear_shortcut:
            stride = LATENT_STRIDE
            self.linear_encoder = nn.Conv2d(3, self.latent_channels, stride, stride).requires_grad_(False)
            self.linear_decoder = nn.ConvTranspose2d(self.latent_channels, 3, stride, stride).requires_grad_(False)

    @property
    def encoding(self) -> tuple[nn.Module | None, ...]:
        """The networks of `encode`."""
        return self.encoder, self.quant_conv, self.linear_encoder

    @property
    def decoding(self) -> tuple[nn.Module | None, ...]:
        """The networks of `decode`."""
        return self.decoder, self.post_quant_conv, self.linear_decoder

    def encode(self, pictures: Pictures) -> LatentMaps:
        """Scaled latents from the posterior's mean: (mean - shift) * scaling_factor."""
        return (self.encode_posterior(pictures).mode() - self.shift) * self.scaling_factor

    def encode_posterior(self, pictures: Pictures) -> DiagonalGaussianDistribution:
        """The posterior before shift and scale, for training and parity."""
        height, width = pictures.shape[-2:]
        if height % LATENT_STRIDE or width % LATENT_STRIDE:
            raise UsageError(
                f"a picture of {width}x{height} cannot be encoded: pad or resize it so that both sides are "
                f"multiples of {LATENT_STRIDE}"
            )
        features = self.encoder(functional.pixel_unshuffle(pictures, self.patch_size))
        if self.linear_encoder is not None:
            mean, log_variance = features.chunk(2, dim=1)
            features = torch.cat([mean + self.linear_encoder(pictures), log_variance], dim=1)
        return DiagonalGaussianDistribution(self.quant_conv(features))

    def decode(self, latents: LatentMaps) -> Pictures:
        """Pictures from scaled latents; not clamped."""
        return self.decode_raw(latents / self.scaling_factor + self.shift)

    def decode_raw(self, latents: LatentMaps) -> Pictures:
        """Pictures from latents before shift and scale (a posterior sample); not clamped."""
        code = self.post_quant_conv(latents)
        pictures = functional.pixel_shuffle(self.decoder(code), self.patch_size)
        return pictures if self.linear_decoder is None else pictures + self.linear_decoder(code)

    @torch.no_grad()
    def set_linear_code(self, basis: Tensor, mean: Tensor) -> None:
        """Set the shortcut to a linear code and the other weights so that the untrained autoencoder equals it.

        basis: (C, 3, 8, 8), orthogonal rows of any norm; a latent is a row's dot product with (patch - mean).
        mean: (3,).
        """
        assert self.linear_encoder is not None
        assert self.linear_decoder is not None
        channels = self.latent_channels
        self.linear_encoder.weight.copy_(basis)
        self.linear_encoder.bias.copy_(-(basis * mean[None, :, None, None]).sum((1, 2, 3)))  # type: ignore[union-attr]
        self.linear_decoder.weight.copy_(basis / basis.square().sum((1, 2, 3), keepdim=True))
        self.linear_decoder.bias.copy_(mean)  # type: ignore[union-attr]
        for convolution in (
            self.encoder.conv_out,
            self.decoder.conv_out,
            self.quant_conv,
            self.post_quant_conv,
        ):
            convolution.weight.zero_()
            convolution.bias.zero_()
        self.quant_conv.weight.copy_(torch.eye(2 * channels)[..., None, None])
        self.post_quant_conv.weight.copy_(torch.eye(channels)[..., None, None])
        self.encoder.conv_out.bias[channels:] = INITIAL_LOG_VARIANCE


def build_vae(options: VaeOptions) -> LatentAutoencoder:
    """A latent autoencoder with random weights."""
    levels, channels = len(options.block_out_channels), 3 * options.patch_size**2
    network = AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=options.block_out_channels,
        layers_per_block=options.layers_per_block,
        latent_channels=options.latent_channels,
        norm_num_groups=options.norm_num_groups,
        mid_block_add_attention=options.mid_attention,
    )
    return LatentAutoencoder(network, options)
