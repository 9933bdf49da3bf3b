"""Filling with patches: known textures go on through the hole, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.core import patch_fill as module
from mcld_anim.core.patch_fill import patch_fill
from mcld_anim.core.push_pull import push_pull

SIZE = 64
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE]


def painted(mix: np.ndarray) -> np.ndarray:
    """Two colours mixed by (H, W) values in 0..1."""
    return np.rint(mix[..., None] * [200, 60, 90] + (1 - mix[..., None]) * [40, 160, 220]).astype(np.uint8)


def middle_hole(top: int = 20, bottom: int = 44) -> np.ndarray:
    hole = np.zeros((SIZE, SIZE), bool)
    hole[top:bottom, 20:44] = True
    return hole


def smooth(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    return np.rint(push_pull(picture.astype(np.float32), (~hole).astype(np.float32)))


def error(filled: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> float:
    """Mean absolute error in the hole, grey levels."""
    return float(np.abs(filled.astype(float) - truth)[hole].mean())


TEXTURES = {
    "stripes": COLUMNS // 6 % 2,
    "slanted stripes": (COLUMNS + ROWS) // 8 % 2,
    "checker": (COLUMNS // 8 + ROWS // 8) % 2,
    "edge": ROWS > 31,
}


@pytest.mark.parametrize("name", TEXTURES)
@pytest.mark.parametrize("bottom", [44, SIZE])  # also a hole that touches the picture's border
def test_a_texture_goes_on(name: str, bottom: int) -> None:
    truth, hole = painted(TEXTURES[name].astype(float)), middle_hole(bottom=bottom)
    filled = patch_fill(np.where(hole[..., None], np.uint8(0), truth), hole)
    assert error(filled, truth, hole) < 0.4 * error(smooth(truth, hole), truth, hole)


def test_a_gradient_goes_on_without_a_seam() -> None:
    truth, hole = painted((ROWS + COLUMNS) / (2 * SIZE)), middle_hole()
    filled = patch_fill(truth, hole)
    assert error(filled, truth, hole) < 4
    assert np.abs(np.diff(filled.astype(int), axis=1)).max() < 12


def test_noise_keeps_its_contrast() -> None:
    truth, hole = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8), middle_hole()
    assert patch_fill(truth, hole)[hole].std() > 0.55 * truth[hole].std() > 3 * smooth(truth, hole)[hole].std()


def test_only_the_hole_changes_and_only_by_what_is_around_it() -> None:
    generator = np.random.default_rng(1)
    picture, hole = generator.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8), middle_hole()
    other = np.where(hole[..., None], generator.integers(0, 256, picture.shape, dtype=np.uint8), picture)
    filled = patch_fill(picture, hole)
    np.testing.assert_array_equal(filled[~hole], picture[~hole])
    np.testing.assert_array_equal(patch_fill(picture, hole), filled)
    np.testing.assert_array_equal(patch_fill(other, hole), filled)


def test_a_portrait_between_two_strips_keeps_floor_and_sky_apart() -> None:
    truth = np.where((ROWS > 40)[..., None], np.uint8([90, 60, 30]), np.uint8([120, 180, 240]))
    truth = np.clip(truth + np.random.default_rng(2).normal(0, 8, truth.shape), 0, 255).astype(np.uint8)
    hole = np.zeros((SIZE, SIZE), bool)
    hole[14:, 12:-12] = True  # more than half of the picture
    filled = patch_fill(truth, hole).astype(int)
    assert (filled[16:34, 16:-16, 2] > 150).mean() > 0.99
    assert (filled[46:, 16:-16, 2] < 100).mean() > 0.99


def test_levels_too_large_to_search_copy_the_match(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, hole = painted((COLUMNS // 8 % 2).astype(float)), middle_hole()
    hole[50:, :30] = True  # also at the picture's corner
    monkeypatch.setattr(module, "FINEST_SIDE", SIZE // 2)
    assert error(patch_fill(truth, hole), truth, hole) < 0.4 * error(smooth(truth, hole), truth, hole)


@pytest.mark.parametrize("shape", [(5, 40), (24, 24), (37, 53)])
def test_without_patches_the_fill_is_smooth(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    nothing, everything, most = np.zeros(shape, bool), np.ones(shape, bool), np.ones(shape, bool)
    np.testing.assert_array_equal(patch_fill(picture, nothing), picture)
    assert np.ptp(patch_fill(picture, everything)) == 0
    most[2, 3:5] = False
    np.testing.assert_array_equal(patch_fill(picture, most), smooth(picture, most))


def test_a_level_with_too_many_pairs_is_filled_smoothly(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, hole = painted(TEXTURES["stripes"].astype(float)), middle_hole()
    monkeypatch.setattr(module, "MOST_PAIRS", 100)
    np.testing.assert_array_equal(patch_fill(picture, hole), smooth(picture, hole))
