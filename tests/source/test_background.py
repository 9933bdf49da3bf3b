"""The background without the person."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.core.push_pull import push_pull
from mcld_anim.source.background import filled_background, person_mask, widened, without_person


def standing(size: int = 128) -> np.ndarray:
    iuv = np.zeros((size, size, 3), np.uint8)
    iuv[size // 6 : -size // 8, size // 3 : -size // 3] = 2, 100, 100
    return iuv


@pytest.mark.parametrize("size", [96, 128, 250])
def test_a_plain_background_is_restored_exactly(size: int) -> None:
    iuv = standing(size)
    background = np.broadcast_to(np.array([30, 200, 90], np.uint8), (size, size, 3))
    picture = np.where(iuv[..., :1] > 0, np.uint8(255), background)
    np.testing.assert_array_equal(without_person(picture, iuv), background)


def test_a_gradient_is_continued_smoothly() -> None:
    rows, columns = np.mgrid[:128, :128]
    background = np.stack([rows, columns, 255 - rows], axis=-1).astype(np.uint8)
    iuv = standing()
    picture = np.where(iuv[..., :1] > 0, np.uint8(255), background)
    filled = without_person(picture, iuv)
    assert np.abs(filled.astype(int) - background).mean() < 2
    assert np.abs(filled.astype(int) - background).max() < 32
    steps = np.abs(np.diff(filled.astype(int), axis=1)).max()
    assert steps < 16  # no edge of the person is left


def test_pixels_away_from_the_person_are_unchanged() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    iuv = standing()
    away = ~person_mask(standing())
    away[16:, 32:-32] = False  # the fade at the edge
    np.testing.assert_array_equal(without_person(picture, iuv)[away], picture[away])


def test_nothing_happens_without_a_person_and_a_full_picture_stays_finite() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    np.testing.assert_array_equal(without_person(picture, np.zeros_like(picture)), picture)
    full = without_person(picture, np.full_like(picture, 2))
    assert full.shape == picture.shape
    assert np.ptp(full) == 0


def test_push_pull_keeps_known_values() -> None:
    generator = np.random.default_rng(1)
    colours = generator.random((37, 53, 3)).astype(np.float32) * 255
    weight = (generator.random((37, 53)) < 0.2).astype(np.float32)
    filled = push_pull(colours, weight)
    np.testing.assert_allclose(filled[weight > 0], colours[weight > 0], rtol=1e-6)
    assert colours[weight > 0].min() - 1e-3 <= filled.min()
    assert filled.max() <= colours[weight > 0].max() + 1e-3


def test_the_background_of_a_photo_goes_on_behind_the_person() -> None:
    iuv = standing()
    background = np.where(np.arange(128)[:, None, None] // 8 % 2, np.uint8(220), np.uint8(40)) + np.zeros_like(iuv)
    hole = person_mask(iuv)
    picture = np.where(iuv[..., :1] > 0, np.uint8(255), background)
    filled = filled_background(picture, hole)
    np.testing.assert_array_equal(filled[~hole], picture[~hole])
    errors = [np.abs(one[hole].astype(int) - background[hole]).mean() for one in (filled, without_person(picture, iuv))]
    assert errors[0] < 0.2 * errors[1]


def test_other_people_do_not_come_again_behind_the_person() -> None:
    """Two doors alike, with somebody in the one and a hole in the other."""
    door = np.random.default_rng(0).integers(60, 180, (96, 64, 1), np.uint8).repeat(3, -1)
    picture, hole, somebody = np.hstack([door, door]), np.zeros((96, 128), bool), np.zeros((96, 128), bool)
    hole[20:76, 16:48], somebody[30:66, 86:106] = True, True
    picture[somebody] = red = np.array([250, 10, 10], np.uint8)
    for others, comes in ((None, True), (~somebody & somebody, True), (somebody, False)):
        filled = filled_background(picture, hole, others)
        np.testing.assert_array_equal(filled[~hole], picture[~hole])
        assert (np.abs(filled[hole].astype(int) - red).max(-1) < 60).any() == comes


def test_who_reaches_into_the_hole_goes_on_in_it() -> None:
    wall, hole, somebody = np.full((96, 128, 3), 120, np.uint8), np.zeros((96, 128), bool), np.zeros((96, 128), bool)
    hole[20:76, 30:60], somebody[40:60, 10:35] = True, True
    wall[somebody] = 250, 10, 10
    filled = filled_background(wall, hole, somebody)
    assert (np.ptp(filled[hole & somebody].astype(int), -1) > 150).all()


def test_a_mask_is_widened_by_a_share_of_its_longer_side() -> None:
    mask = np.zeros((100, 80), bool)
    mask[20:81, 30:50] = True
    rows, columns = np.nonzero(widened(mask, 0.1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (14, 86, 24, 55)
    np.testing.assert_array_equal(widened(mask), person_mask(mask[..., None] * np.uint8([2, 9, 9])))
    assert not widened(np.zeros_like(mask)).any()
