"""The bundled model configurations load, and impossible sizes are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcld_anim.options.load import bundled_names, from_mapping, to_mapping
from mcld_anim.options.model import ModelOptions, UNetOptions, VaeOptions, load_model_options


@pytest.mark.parametrize("name", bundled_names("model"))
def test_bundled_configurations_load_under_their_name(name: str) -> None:
    options = load_model_options(name)
    assert options.name == name
    assert from_mapping(ModelOptions, to_mapping(options), name) == options


def test_the_published_size_is_the_default() -> None:
    published = load_model_options("mcld_sd15")
    default = ModelOptions()
    for part in ("vae", "unet", "pose_guider", "image_encoder", "face", "frame_size", "texture_size"):
        assert getattr(published, part) == getattr(default, part)
    assert published.schedule.beta_schedule == "linear"
    assert published.training_schedule is not None
    assert published.training_schedule.beta_schedule == "scaled_linear"
    assert published.latent_size == (64, 64)


def test_impossible_sizes_are_refused() -> None:
    options = load_model_options("tiny")
    with pytest.raises(ValueError, match="multiples of 8"):
        replace(options, frame_size=(250, 256))
    with pytest.raises(ValueError, match="latent_channels"):
        replace(options, unet=replace(options.unet, in_channels=4))
    with pytest.raises(ValueError, match="cross_attention_dim"):
        replace(options, unet=replace(options.unet, cross_attention_dim=96))
    with pytest.raises(ValueError, match="duplicates"):
        replace(options, conditions=("image", "image"))
    with pytest.raises(ValueError, match="reduces pictures 32 times"):
        VaeOptions(patch_size=4)
    with pytest.raises(ValueError, match="down_block_types has 4 entries, expected 2"):
        UNetOptions(block_out_channels=(32, 64))
    with pytest.raises(ValueError, match="heads has 2 entries"):
        UNetOptions(heads=(8, 8))
    with pytest.raises(ValueError, match="norm_num_groups"):
        UNetOptions(block_out_channels=(330, 640, 1280, 1280))
