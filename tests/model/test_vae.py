"""The latent autoencoder: the published layout at patch size 1, and standardised latents of unit deviation."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from diffusers import AutoencoderKL

from mcld_anim.core.errors import UsageError
from mcld_anim.model.vae import INITIAL_LOG_VARIANCE, LatentAutoencoder, build_vae
from mcld_anim.options.model import VaeOptions
from mcld_anim.train.autoencoder import standardised

SMALL = VaeOptions(4, 6, (8, 8), 1, 4, mid_attention=False, scaling_factor=0.5, shift=0.25)
PUBLISHED_LIKE = VaeOptions(1, 4, (8, 8, 8, 8), 1, 4, mid_attention=True)


@pytest.fixture
def pictures() -> torch.Tensor:
    return torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1


def random_vae(options: VaeOptions) -> LatentAutoencoder:
    torch.manual_seed(0)
    return build_vae(options).eval().requires_grad_(False)


@pytest.mark.parametrize("options", [SMALL, PUBLISHED_LIKE, dataclasses.replace(SMALL, linear_shortcut=True)])
def test_latents_are_an_eighth(options: VaeOptions, pictures: torch.Tensor) -> None:
    vae = random_vae(options)
    latents = vae.encode(pictures)
    assert latents.shape == (2, options.latent_channels, 4, 6)
    assert vae.decode(latents).shape == pictures.shape


def test_patch_size_one_is_the_published_autoencoder(pictures: torch.Tensor) -> None:
    vae = random_vae(PUBLISHED_LIKE)
    published = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        latent_channels=4,
        norm_num_groups=4,
    ).eval()
    published.load_state_dict(vae.state_dict())  # strict: the same keys
    with torch.no_grad():
        posterior = published.encode(pictures).latent_dist
        assert torch.allclose(vae.encode(pictures), posterior.mean * 0.18215, atol=1e-6)
        assert torch.allclose(vae.decode(posterior.mean * 0.18215), published.decode(posterior.mean).sample, atol=1e-5)


def test_scale_and_shift_cancel(pictures: torch.Tensor) -> None:
    vae = random_vae(SMALL)
    posterior = vae.encode_posterior(pictures)
    assert torch.allclose(vae.encode(pictures), (posterior.mean - 0.25) * 0.5)
    assert torch.allclose(vae.decode(vae.encode(pictures)), vae.decode_raw(posterior.mean), atol=1e-5)


@pytest.mark.parametrize("size", [(30, 32), (32, 36)])
def test_a_size_that_does_not_fit_is_named(size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=f"{size[1]}x{size[0]}.*multiples of 8"):
        random_vae(SMALL).encode(torch.zeros(1, 3, *size))


def test_the_untrained_network_equals_its_linear_code(pictures: torch.Tensor) -> None:
    vae = random_vae(dataclasses.replace(SMALL, scaling_factor=1.0, shift=0.0, linear_shortcut=True))
    generator = torch.Generator().manual_seed(2)
    orthonormal = torch.linalg.qr(torch.randn(192, 6, generator=generator))[0].T
    lengths = torch.tensor([0.5, 1, 2, 3, 4, 5])
    basis, mean = (orthonormal * lengths[:, None]).reshape(6, 3, 8, 8), torch.tensor([0.1, -0.2, 0.3])
    vae.set_linear_code(basis, mean)
    patches = torch.nn.functional.unfold(pictures - mean[None, :, None, None], 8, stride=8)
    projected = orthonormal.T @ orthonormal @ patches
    expected = torch.nn.functional.fold(projected, pictures.shape[-2:], 8, stride=8) + mean[None, :, None, None]
    assert torch.allclose(vae.decode(vae.encode(pictures)), expected, atol=1e-4)
    assert torch.allclose(vae.encode_posterior(pictures).logvar, torch.tensor(INITIAL_LOG_VARIANCE))


@pytest.mark.parametrize("shortcut", [False, True])
def test_standardised_latents_have_unit_deviation_and_the_same_pictures(shortcut: bool, pictures: torch.Tensor) -> None:
    options = dataclasses.replace(SMALL, scaling_factor=1.0, shift=0.0, linear_shortcut=shortcut)
    vae, folded = random_vae(options), random_vae(options)
    latents = vae.encode(pictures)
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    folded.load_state_dict(standardised(vae, mean, deviation))
    new = folded.encode(pictures)
    assert torch.allclose(new.mean((0, 2, 3)), torch.zeros(6), atol=1e-4)
    assert torch.allclose(new.std((0, 2, 3)), torch.ones(6), atol=1e-3)
    assert torch.allclose(folded.decode(new), vae.decode(latents), atol=1e-3)
    variance = vae.encode_posterior(pictures).logvar - 2 * deviation.log()[None, :, None, None]
    assert torch.allclose(folded.encode_posterior(pictures).logvar, variance, atol=1e-4)
