"""The two bundled models have the expected sizes."""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

from mcld_anim.model.build import Mcld, build_mcld
from mcld_anim.model.reference_net import ReferenceNet
from mcld_anim.model.unet import transformer_blocks
from mcld_anim.options.model import load_model_options

UNREAD_REFERENCE_WEIGHTS = 2_442_240
"""Parameters of the published ReferenceNet after its last norm1, which influence no output."""


def count(module: nn.Module) -> int:
    """The parameter count of a module."""
    return sum(parameter.numel() for parameter in module.parameters())


@cache
def on_no_memory(name: str) -> Mcld:
    """A bundled model on the meta device."""
    with torch.device("meta"):
        return build_mcld(load_model_options(name))


def test_published_parameter_counts() -> None:
    mcld = on_no_memory("mcld_sd15")
    assert count(mcld.reference_net) + UNREAD_REFERENCE_WEIGHTS == 859_508_800
    assert count(mcld.denoiser) == 878_690_244
    assert count(mcld.pose_guider) == 1_086_480
    assert count(mcld.face_tokens) == 80_336_384
    assert count(mcld.vae) == 83_653_863
    assert count(mcld.image_encoder) == 303_966_208


def test_the_embedded_model_is_small() -> None:
    mcld = on_no_memory("tiny")
    half_precision_bytes = 2 * (count(mcld) - count(mcld.vae))
    assert half_precision_bytes <= 27_000_000


def test_the_tiny_model_runs_from_pixels_to_pixels() -> None:
    torch.manual_seed(0)
    options = load_model_options("tiny")
    mcld = build_mcld(options).eval()
    encoder = options.image_encoder
    with torch.no_grad():
        latents = mcld.vae.encode(torch.rand(1, 3, *options.texture_size) * 2 - 1)
        assert latents.shape == (1, options.vae.latent_channels, *options.latent_size)
        tokens = mcld.image_encoder(torch.randn(1, 3, encoder.image_size, encoder.image_size)).image_embeds[:, None]
        features = mcld.reference_net(latents, tokens)
        assert len(features) == 1 + options.unet.layers_per_block * 3 + (options.unet.layers_per_block + 1) * 3
        assert mcld.vae.decode(latents).shape == (1, 3, *options.frame_size)


def test_reference_net_and_denoiser_layers_have_the_same_names_at_every_size() -> None:
    for name in ("tiny", "mcld_sd15"):
        mcld = on_no_memory(name)
        readers = [layer for layer, _ in transformer_blocks(mcld.denoiser.unet)]
        writers = [layer for layer, _ in transformer_blocks(mcld.reference_net.unet)]
        assert sorted([*writers, mcld.reference_net.last_layer]) == sorted(readers)


def test_the_last_layer_of_the_reference_net_is_the_last_that_runs() -> None:
    net = ReferenceNet(load_model_options("tiny").unet)
    assert net.last_layer == "up_blocks.2.attentions.1.transformer_blocks.0"
    features = net(torch.randn(1, 12, 8, 8), torch.randn(1, 1, 128))
    assert list(features)[-1] == net.last_layer
