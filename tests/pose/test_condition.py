"""The Pose Guider's condition, and the warped source."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcld_anim.options.model import PoseGuiderOptions
from mcld_anim.pose.condition import (
    network_condition,
    part_planes,
    pose_image,
    uv_warp,
    warped_source,
)
from mcld_anim.source.background import without_person
from mcld_anim.source.fill import complete_atlas, fill_atlas
from mcld_anim.source.texture import atlas_from_picture


def body(size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """A smoothly coloured torso and head in front of a plain background, with U and V as fine as the pixels."""
    iuv = np.zeros((size, size, 3), np.uint8)
    rows, columns = np.mgrid[:size, :size]
    for part, (top, bottom) in {23: (10, 40), 2: (40, 120)}.items():
        place = (slice(top, bottom), slice(34, 94))
        iuv[place] = np.stack([np.full_like(rows, part), (columns - 34) * 4, 255 - (rows - top) * 3], axis=-1)[place]
    colours = np.stack([columns + 40, rows + 60, np.full_like(rows, 120)], axis=-1).astype(np.uint8)
    return np.where(iuv[..., :1] > 0, colours, np.uint8(20)), iuv


def test_the_pose_image_is_v_u_i() -> None:
    iuv = np.array([[[24, 51, 102], [0, 0, 0]]], np.uint8)
    image = pose_image(iuv)
    assert image.dtype == torch.float32
    np.testing.assert_allclose(image[:, 0, 0], np.array([102, 51, 24]) / 255, rtol=1e-6)
    assert not image[:, 0, 1].any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_part_planes_hold_the_whole_iuv(seed: int) -> None:
    generator = np.random.default_rng(seed)
    iuv = generator.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    iuv[..., 0] = generator.integers(0, 25, (9, 7))
    iuv[iuv[..., 0] == 0] = 0
    (planes,) = part_planes(torch.from_numpy(iuv)[None])
    assert planes.shape == (PoseGuiderOptions("parts").condition_channels, 9, 7)
    assert torch.equal(planes[:24].sum(0), planes[24])
    part = (planes[:24].argmax(0) + 1) * (planes[24] > 0)
    coordinates = ((planes[25:] + 1) * 127.5).round() * planes[24]
    again = torch.cat([part[None].float(), coordinates]).permute(1, 2, 0).numpy().astype(np.uint8)
    np.testing.assert_array_equal(again, iuv)


@pytest.mark.parametrize(("condition", "channels"), [("vui", 3), ("parts", 27)])
def test_the_condition_has_the_channels_that_the_guider_takes(condition: str, channels: int) -> None:
    options = PoseGuiderOptions(condition=condition)  # type: ignore[arg-type]
    iuvs = torch.from_numpy(np.stack([body()[1], np.zeros((128, 128, 3), np.uint8)]))
    planes = network_condition(iuvs, options)
    assert planes.shape == (2, channels, 128, 128)
    assert channels == options.condition_channels
    assert planes[0].any()
    assert not planes[1].any()


def test_the_published_condition_is_the_pose_image() -> None:
    (planes,) = network_condition(torch.from_numpy(body()[1])[None], PoseGuiderOptions(condition="vui"))
    assert torch.equal(planes, pose_image(body()[1]))


def test_the_warped_source_in_the_sources_own_pose_is_the_source() -> None:
    picture, iuv = body()
    atlas, valid = complete_atlas(picture, iuv)
    warped, validity = warped_source(atlas, valid, iuv, without_person(picture, iuv))
    inside = iuv[..., 0] > 0
    difference = np.abs(warped.astype(int) - picture)
    assert difference[inside].mean() < 1.5
    assert difference[inside].max() <= 12  # at the silhouette, which is not sampled
    assert difference[~inside].max() <= 1
    assert validity.dtype == np.float32
    assert validity[inside].mean() > 0.95
    assert (validity[~inside] == 1).all()


def test_a_part_that_was_not_seen_is_guessed_and_marked() -> None:
    picture, iuv = body()
    atlas, valid = complete_atlas(picture, iuv)
    back = iuv.copy()
    back[back[..., 0] == 2, 0] = 1
    warped, validity = warped_source(atlas, valid, back, np.zeros_like(picture))
    torso = back[..., 0] == 1
    assert (validity[torso] == 0).all()
    assert warped[torso].min() > 0


def test_the_warp_leaves_the_background_empty() -> None:
    picture, iuv = body()
    atlas, valid = atlas_from_picture(picture, iuv, fill="nearest")
    warp, validity = uv_warp(fill_atlas(atlas, valid), valid, iuv)
    outside = iuv[..., 0] == 0
    assert not warp[outside].any()
    assert not validity[outside].any()
    np.testing.assert_array_equal(warp[~outside][::97], atlas.reshape(-1, 3)[_texels(iuv)][::97])


def _texels(iuv: np.ndarray) -> np.ndarray:
    part, u, v = (plane[iuv[..., 0] > 0].astype(int) for plane in np.moveaxis(iuv, -1, 0))
    return ((part - 1) * 200 + (255 - v) * 199 // 255) * 200 + u * 199 // 255
