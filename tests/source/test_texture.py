"""The atlas and SMPL texture against the published code's output and its rules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mcld_anim.body.uv_tables import chart_islands, smpl_texel_sources
from mcld_anim.core.errors import UsageError
from mcld_anim.source.texture import atlas_from_picture, smpl_texture, source_texture

DATA = Path(__file__).parent / "data"


def load(name: str) -> np.ndarray:
    return np.asarray(Image.open(DATA / f"{name}.png"))


def random_pair(seed: int, size: tuple[int, int] = (24, 16)) -> tuple[np.ndarray, np.ndarray]:
    """A picture without black and an IUV of large random patches."""
    generator = np.random.default_rng(seed)
    picture = generator.integers(1, 256, (*size, 3), dtype=np.uint8)
    iuv = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
    iuv[..., 0] = generator.integers(0, 25, size)
    iuv[iuv[..., 0] == 0] = 0
    return picture, iuv


def texel_of(iuv: np.ndarray) -> tuple[int, int, int]:
    part, u, v = (int(value) for value in iuv)
    return part - 1, int((255 - v) * 199.0 / 255.0), int(u * 199.0 / 255.0)


def test_the_published_texture_is_reproduced() -> None:
    ours = source_texture(load("texture_source"), load("texture_iuv"))[256:, :256]
    difference = np.abs(ours.astype(int) - load("texture_smpl_lower_left"))
    assert (difference > 0).mean() <= 0.005
    assert difference.mean() <= 0.1


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_texel_holds_the_last_pixel_that_falls_on_it(seed: int) -> None:
    picture, iuv = random_pair(seed)
    atlas, valid = atlas_from_picture(picture, iuv, fill="nearest")
    expected = {}
    for row, column in np.ndindex(iuv.shape[:2]):
        if iuv[row, column, 0]:
            expected[texel_of(iuv[row, column])] = picture[row, column]
    for texel, colour in expected.items():
        assert valid[texel]
        np.testing.assert_array_equal(atlas[texel], colour)


def test_inpainting_keeps_seen_texels_within_one_level() -> None:
    picture, iuv = random_pair(3, (64, 48))
    nearest, _ = atlas_from_picture(picture, iuv, fill="nearest")
    inpainted, _ = atlas_from_picture(picture, iuv)
    inside = iuv[..., 0] > 0
    texels = tuple(np.array([texel_of(code) for code in iuv[inside]]).T)
    difference = nearest[texels].astype(int) - inpainted[texels]
    assert difference.min() >= 0
    assert difference.max() <= 1


def test_colours_reach_only_a_few_texels_and_stay_on_the_island() -> None:
    picture = np.full((2, 2, 3), 200, np.uint8)
    iuv = np.zeros((2, 2, 3), np.uint8)
    iuv[0, 0] = 2, 128, 128  # the middle of the front torso
    atlas, valid = atlas_from_picture(picture, iuv, fill="nearest")
    row, column = texel_of(iuv[0, 0])[1:]
    rows, columns = np.nonzero(valid[1])
    assert (rows.min(), rows.max()) == (row - 4, row + 5)
    assert (columns.min(), columns.max()) == (column - 4, column + 5)
    assert (atlas[valid] == 200).all()
    assert not atlas[~valid].any()
    assert not valid[[part for part in range(24) if part != 1]].any()


def test_a_black_pixel_counts_as_not_seen() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    iuv = np.full((4, 4, 3), 9, np.uint8)
    atlas, valid = atlas_from_picture(picture, iuv)
    assert not valid.any()
    assert not atlas.any()


def test_an_even_part_does_not_divide_by_zero() -> None:
    picture = np.full((256, 256, 3), 77, np.uint8)
    iuv = np.stack(np.broadcast_arrays(np.uint8(2), *np.mgrid[:256, :256].astype(np.uint8)), axis=-1)
    atlas, valid = atlas_from_picture(picture, iuv)
    assert valid[1].all()
    assert (atlas[1] == 77).all()


def test_a_picture_and_iuv_of_two_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="differ in size"):
        atlas_from_picture(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8))


def test_the_smpl_layout_reads_every_covered_texel_from_its_island() -> None:
    islands = chart_islands()
    atlas = np.where(islands[..., None], np.uint8(255), np.uint8(0)) * np.ones(3, np.uint8)
    texture = smpl_texture(atlas)
    covered = smpl_texel_sources() >= 0
    assert not texture[~covered].any()
    assert (texture[covered] == 255).all(axis=-1).mean() > 0.99
    assert covered.mean() == pytest.approx(0.7717, abs=1e-3)
