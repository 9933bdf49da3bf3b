"""The frames of a clip: the same for every batch size, and the effect of each option."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from mcld_anim.body.clip import ClipFrame, FrameLink, FramePose, clip_frames
from mcld_anim.model.appearance import SourceAppearance, encode_source
from mcld_anim.model.load import LoadedModels
from mcld_anim.pose.backends import estimate_of
from mcld_anim.pose.precomputed import resize_iuv
from mcld_anim.run.source import frame_person
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.sampling.settings import SamplingSettings
from mcld_anim.synthetic.person import Rendering

SETTINGS = SamplingSettings(steps=3, guidance=2.0, seed=0, noise="mixed:1", blend=0.5)


@pytest.fixture
def source(small_models: LoadedModels, photo: Rendering) -> SourceAppearance:
    """The photo, encoded."""
    framed = frame_person(photo.picture, estimate_of(photo.iuv, 1.0), small_models.mcld.options.frame_size)
    return encode_source(*framed, small_models.mcld, small_models.face_in(*framed))


@pytest.fixture
def poses(dance: list[Rendering]) -> list[np.ndarray]:
    """The dance's IUV at the model's frame size."""
    return [resize_iuv(one.iuv, (64, 64)) for one in dance]


def make(
    models: LoadedModels, source: SourceAppearance, poses: list[np.ndarray], settings: SamplingSettings, batch: int
) -> np.ndarray:
    """All frames, int (F, H, W, 3)."""
    maker = FrameMaker(models.mcld, source, settings)
    frames, made = clip_frames(FramePose(iuv) for iuv in poses), []
    while part := list(islice(frames, batch)):
        made += maker.make(part)
    return np.stack(made).astype(int)


@pytest.mark.parametrize("blending", ["surface", "neighbour"])
def test_nothing_is_blended_over_a_cut(
    small_models: LoadedModels, source: SourceAppearance, poses: list[np.ndarray], blending: str
) -> None:
    settings = replace(SETTINGS, blending=blending, blend=0.9, noise="independent")
    alone = [ClipFrame(3, FramePose(poses[3])), ClipFrame(3, FramePose(poses[3]), FrameLink(poses[3], poses[2]))]
    one, two = (FrameMaker(small_models.mcld, source, settings).make([frame]) for frame in alone)
    assert np.array_equal(one, two)  # the first frame that a maker sees has nothing before it
    frames = [
        np.stack(
            FrameMaker(small_models.mcld, source, settings).make(
                list(clip_frames([FramePose(poses[3]), FramePose(poses[3], cut=cut)], first=2))
            )
        ).astype(int)
        for cut in (True, False)
    ]
    assert np.abs(frames[0][1] - one[0]).max() <= 1
    assert np.abs(frames[1][1] - one[0]).max() > 1


@pytest.mark.parametrize("blending", ["surface", "neighbour"])
@pytest.mark.parametrize(("guidance", "reuse"), [(1.0, 1), (2.0, 1), (2.0, 2)])
def test_batch_sizes_1_3_and_8_differ_by_one_grey_level_at_most(
    small_models: LoadedModels,
    source: SourceAppearance,
    poses: list[np.ndarray],
    guidance: float,
    reuse: int,
    blending: str,
) -> None:
    settings = replace(SETTINGS, guidance=guidance, blending=blending, reuse_features=reuse)
    one, three, eight = (make(small_models, source, poses, settings, batch) for batch in (1, 3, 8))
    assert one.shape == (11, 64, 64, 3)
    assert one.std() > 5
    assert np.abs(one - three).max() <= 1
    assert np.abs(one - eight).max() <= 1


@pytest.mark.parametrize(
    "change",
    [{"steps": 2}, {"guidance": 1.0}, {"seed": 1}, {"noise": "independent"}, {"blend": 0.0}, {"reuse_features": 2}],
)
def test_every_setting_changes_the_frames(
    small_models: LoadedModels, source: SourceAppearance, poses: list[np.ndarray], change: dict[str, object]
) -> None:
    settings = replace(SETTINGS, blending="neighbour")  # in 8x8 cells no two frames of the dance share a surface
    before = make(small_models, source, poses[:3], settings, 3)
    after = make(small_models, source, poses[:3], replace(settings, **change), 3)
    assert np.abs(before - after).max() > 1


@pytest.mark.parametrize("sampler", ["ddim", "dpm++", "unipc"])
def test_reused_features_change_the_frames_a_little(
    small_models: LoadedModels, source: SourceAppearance, poses: list[np.ndarray], sampler: str
) -> None:
    """Less than half the steps do; guidance that ends between steps has the rows it needs."""
    settings = replace(SETTINGS, steps=8, sampler=sampler, guidance_range=(0.4, 0.8))
    exact, reused, fewer = (
        make(small_models, source, poses[:2], replace(settings, **change), 2)
        for change in ({}, {"reuse_features": 2}, {"steps": 4})
    )
    assert 0 < np.abs(reused - exact).mean() < np.abs(fewer - exact).mean()


def test_with_shared_noise_one_pose_gives_one_picture(
    small_models: LoadedModels, source: SourceAppearance, poses: list[np.ndarray]
) -> None:
    frames = make(small_models, source, [poses[0]] * 3, replace(SETTINGS, noise="shared"), 2)
    assert np.abs(frames - frames[0]).max() <= 1
    other = make(small_models, source, [poses[0]] * 3, SETTINGS, 2)
    assert np.abs(other - other[0]).max() > 1


def test_half_precision_goes_all_the_way_and_stays_close(small_models: LoadedModels, photo: Rendering) -> None:
    size = small_models.mcld.options.frame_size
    picture, iuv = frame_person(photo.picture, estimate_of(photo.iuv, 1.0), size)
    settings = replace(SETTINGS, steps=1)
    frames = []
    for dtype in (torch.float32, torch.bfloat16):
        mcld = small_models.mcld.to(dtype)
        source = encode_source(picture, iuv, mcld, small_models.face_in(picture, iuv))
        assert source.projected.reference[next(iter(source.projected.reference))].keys.dtype is dtype
        frames.append(FrameMaker(mcld, source, settings).make([ClipFrame(0, FramePose(iuv))])[0].astype(int))
    assert np.abs(frames[0] - frames[1]).mean() < 4
