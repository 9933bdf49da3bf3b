"""Weights of the conditions are factors on what they add, and recording attention changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.model.appearance import SourceAppearance, encode_source, with_weights
from mcld_anim.model.load import LoadedModels
from mcld_anim.model.morph import MorphedAppearance
from mcld_anim.options.edits import Weights
from mcld_anim.pose.backends import estimate_of
from mcld_anim.run.source import frame_person
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.sampling.settings import SamplingSettings
from mcld_anim.synthetic.person import Rendering

SETTINGS = SamplingSettings(steps=2, guidance=2.0, seed=0, noise="shared", blend=0.0)


def encoded(models: LoadedModels, shown: Rendering) -> SourceAppearance:
    framed = frame_person(shown.picture, estimate_of(shown.iuv, 1.0), models.options.frame_size)
    return encode_source(*framed, models.mcld, models.face_in(*framed))


@pytest.fixture
def source(small_models: LoadedModels, photo: Rendering) -> SourceAppearance:
    return encoded(small_models, photo)


def predicted(models: LoadedModels, source: SourceAppearance) -> torch.Tensor:
    shape = (1, models.options.vae.latent_channels, *models.options.latent_size)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    pose = torch.zeros(1, models.options.unet.block_out_channels[0], *models.options.latent_size)
    made = models.mcld.denoiser(latents, 500, pose, source.projected)
    assert isinstance(made, torch.Tensor)
    return made


@pytest.mark.parametrize("condition", ["face", "image", "texture"])
def test_every_weight_acts_and_one_is_the_models_own(
    small_models: LoadedModels, source: SourceAppearance, condition: str
) -> None:
    plain = predicted(small_models, source)
    same = with_weights(source, Weights(), small_models.options)
    assert torch.equal(predicted(small_models, same), plain)
    without = with_weights(source, Weights(**{condition: 0.0}), small_models.options)
    assert (predicted(small_models, without) - plain).abs().max() > 1e-4
    stages = {layer.split("_")[0] for layer, kv in without.projected.tokens.items() if not kv.values.all()}
    assert stages == {"face": set(), "image": {"down", "mid"}, "texture": {"up", "mid"}}[condition]


def test_recording_attention_changes_no_frame(small_models: LoadedModels, source: SourceAppearance) -> None:
    maker = FrameMaker(small_models.mcld, source, SETTINGS)
    frame = ClipFrame(0, FramePose(source.iuv))
    picture, maps = maker.attention(frame)
    assert np.array_equal(picture, maker.make([frame])[0])
    assert set(maps) == {"face", "image", "texture"}
    for one in maps.values():
        assert one.shape == small_models.options.latent_size
        assert 0 <= one.min() < one.max() <= 1
    stronger = FrameMaker(small_models.mcld, with_weights(source, Weights(face=4), small_models.options), SETTINGS)
    assert stronger.attention(frame)[1]["face"].mean() > maps["face"].mean()


def test_a_morph_begins_with_the_first_and_ends_with_the_last(
    small_models: LoadedModels, source: SourceAppearance, other_photo: Rendering
) -> None:
    last = encoded(small_models, other_photo)
    morphed = MorphedAppearance.of(source, last, (0.0, 0.5, 1.0))
    frames = [ClipFrame(index, FramePose(source.iuv)) for index in range(3)]
    together = FrameMaker(small_models.mcld, morphed, SETTINGS).make(frames)
    alone = [FrameMaker(small_models.mcld, morphed, SETTINGS).make([frame])[0] for frame in frames]
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(together, alone, strict=True))
    first = FrameMaker(small_models.mcld, source, SETTINGS).make(frames[:1])[0].astype(int)
    assert np.abs(together[0] - first).max() <= 1
    person = source.iuv[..., 0] > 0
    assert (
        np.abs(together[2].astype(int) - first)[person].mean()
        > np.abs(together[1].astype(int) - first)[person].mean()
        > 1
    )
