"""A network of the real structure at the smallest size, with every weight at work."""

from __future__ import annotations

import pytest
import torch

from mcld_anim.model.build import Mcld, build_mcld
from mcld_anim.options.model import (
    FaceTokenOptions,
    ImageEncoderOptions,
    ModelOptions,
    PoseGuiderOptions,
    UNetOptions,
    VaeOptions,
)

SMALL = ModelOptions(
    name="small",
    frame_size=(64, 64),
    texture_size=(64, 64),
    vae=VaeOptions(4, 4, (8, 8), 1, 4, mid_attention=False),
    unet=UNetOptions(
        block_out_channels=(8, 16),
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=1,
        heads=(2, 4),
        cross_attention_dim=16,
        norm_num_groups=4,
    ),
    pose_guider=PoseGuiderOptions("parts", (4, 4, 8, 8), "uv_warp"),
    image_encoder=ImageEncoderOptions(32, 16, 16, 32, 1, 2, 16),
    face=FaceTokenOptions(8, 3, 0.5, dim=16, depth=1, dim_head=8, heads=2, ff_mult=2),
)


@pytest.fixture
def mcld() -> Mcld:
    """Random weights; biases and the zero-initialised layers are random too, so that a missing term shows."""
    torch.manual_seed(0)
    built = build_mcld(SMALL).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim == 1 or not parameter.any():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return built
