"""The Pose Guider, its features in the denoiser, and the face tokens."""

from __future__ import annotations

import pytest
import torch

from mcld_anim.model.build import Mcld
from mcld_anim.model.face_tokens import Resampler
from mcld_anim.model.pose_guider import PoseGuider
from mcld_anim.model.unet import PoseConditionedConv
from mcld_anim.options.model import FaceTokenOptions, PoseGuiderOptions


@torch.no_grad()
def test_a_new_pose_guider_adds_nothing() -> None:
    guider = PoseGuider(PoseGuiderOptions("vui", (4, 4, 8, 8)), width=6, latent_channels=4)
    features = guider(torch.rand(2, 3, 64, 48))
    assert features.shape == (2, 6, 8, 6)
    assert not features.any()


@torch.no_grad()
def test_the_warped_source_is_added_and_required() -> None:
    guider = PoseGuider(PoseGuiderOptions("parts", (4, 4, 8, 8), "uv_warp"), width=6, latent_channels=4)
    condition, warped = torch.rand(1, 27, 64, 64), torch.rand(1, 5, 8, 8)
    assert guider.warp_in is not None
    torch.testing.assert_close(guider(condition, warped), guider.warp_in(warped))
    with pytest.raises(ValueError, match="warped_source is missing"):
        guider(condition)
    without = PoseGuider(PoseGuiderOptions("parts", (4, 4, 8, 8)), width=6, latent_channels=4)
    with pytest.raises(ValueError, match="warped_source is given"):
        without(condition, warped)


@torch.no_grad()
def test_pose_features_are_added_after_the_first_convolution(mcld: Mcld) -> None:
    conv = mcld.denoiser.unet.conv_in
    assert isinstance(conv, PoseConditionedConv)
    latents, pose = torch.randn(1, 4, 8, 8), torch.randn(1, 8, 8, 8)
    plain = torch.nn.functional.conv2d(latents, conv.weight, conv.bias, padding=1)
    torch.testing.assert_close(conv(torch.cat([latents, pose], dim=1)), plain + pose)


@torch.no_grad()
def test_face_tokens() -> None:
    torch.manual_seed(0)
    resampler = Resampler(FaceTokenOptions(8, 3, 0.5, dim=16, depth=2, dim_head=8, heads=2, ff_mult=2), output_dim=12)
    faces = torch.randn(4, 1, 8)
    tokens = resampler(faces)
    assert tokens.shape == (4, 3, 12)
    torch.testing.assert_close(resampler(faces[2:3]), tokens[2:3])
    assert (tokens[0] - tokens[1]).abs().max() > 0.01
    assert resampler(torch.zeros(1, 1, 8)).abs().max() > 0.1
