"""Drawing moved surfaces: shifts are exact, stretched surfaces have no gaps, torn ones are layered by depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcld_anim.pose.surface_warp import Moved, draw_moved

HEIGHT, WIDTH = 40, 48


def patch(top: int, left: int, height: int, width: int, part: int) -> np.ndarray:
    """An IUV with one rectangle whose U grows to the right and V downwards."""
    iuv = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    rows, columns = np.mgrid[:height, :width]
    iuv[top : top + height, left : left + width] = np.stack([np.full_like(rows, part), 5 * columns, 5 * rows], -1)
    return iuv


def standing(iuv: np.ndarray) -> Moved:
    """All pixels in place; parts a metre apart on the body, all at one depth and facing the camera."""
    rows, columns = np.nonzero(iuv[..., 0])
    count = len(rows)
    places = np.stack([columns / 100, rows / 100, iuv[rows, columns, 0].astype(float)], 1)
    positions = np.stack([columns, rows], 1) + 0.5
    return Moved(rows, columns, positions, np.ones(count), np.zeros(count), np.ones(count), places, 100.0)


@settings(max_examples=30, deadline=None)
@given(st.integers(-50, 50), st.integers(-50, 50))
def test_a_shift_by_whole_pixels_is_exact_and_what_leaves_the_frame_is_cut_off(right: int, down: int) -> None:
    iuv = patch(10, 12, 15, 14, 3)
    moved = standing(iuv)
    made = draw_moved(iuv, replace(moved, positions=moved.positions + np.array([right, down])))
    expected = np.zeros_like(iuv)
    rows, columns = moved.rows + down, moved.columns + right
    inside = (rows >= 0) & (rows < HEIGHT) & (columns >= 0) & (columns < WIDTH)
    expected[rows[inside], columns[inside]] = iuv[moved.rows[inside], moved.columns[inside]]
    shown = expected[..., 0] > 0
    assert np.array_equal(made[shown], expected[shown])
    assert (made[~shown] > 0).any(-1).sum() <= 4  # a corner on the border of a pixel


def test_twice_as_large_is_whole_and_has_the_coordinates_in_between() -> None:
    iuv = patch(10, 12, 10, 10, 3)
    moved = standing(iuv)
    middle = np.array([17.0, 15.0])
    made = draw_moved(iuv, replace(moved, positions=middle + 2 * (moved.positions - middle), growth=moved.growth * 2))
    block = made[5:25, 7:27]
    assert (block[..., 0] == 3).all()
    assert (made[..., 0] > 0).sum() == pytest.approx(400, abs=10)
    steps = np.diff(block[1:-1, :, 1].astype(int), axis=1)
    assert (steps >= 0).all()
    assert steps.max() <= 4  # 5 levels a pixel before


def test_the_nearer_part_is_drawn_over_the_other() -> None:
    iuv = patch(10, 8, 15, 10, 3) + patch(10, 24, 15, 10, 7)
    moved = standing(iuv)
    second = iuv[moved.rows, moved.columns, 0] == 7
    positions = moved.positions - np.where(second, 10, 0)[:, None] * [1, 0]
    for depth, shown in ((-1.0, 7), (1.0, 3)):
        made = draw_moved(iuv, replace(moved, positions=positions, depth=np.where(second, depth, 0.0)))
        assert (made[12:22, 15:17, 0] == shown).all()


@pytest.mark.parametrize("faces", [True, False])
def test_behind_a_part_that_moves_away_the_rear_goes_on_if_it_faced_the_camera(faces: bool) -> None:
    """The background shows behind the front surface if the rear one had turned away at its own outline."""
    iuv = patch(10, 8, 15, 10, 3) + patch(10, 18, 15, 10, 7)
    moved = standing(iuv)
    front = iuv[moved.rows, moved.columns, 0] == 7
    made = draw_moved(
        iuv,
        replace(
            moved,
            positions=moved.positions + np.where(front, 6, 0)[:, None] * [1, 0],
            depth=np.where(front, -5.0, 0.0),
            facing=np.where(front, 1.0, 1.0 if faces else 0.1),
        ),
    )
    gap = made[11:24, 19:23]
    assert (gap[..., 0] == (3 if faces else 0)).all()
    assert (made[11:24, 25:33, 0] == 7).all()
    if faces:
        assert (gap[..., 1] == 45).all()  # the rear's last column


def test_surfaces_side_by_side_leave_no_crack() -> None:
    """Half a pixel to the side, with both outlines turned away from the camera."""
    iuv = patch(10, 8, 15, 10, 3) + patch(10, 18, 15, 10, 7)
    moved = standing(iuv)
    made = draw_moved(iuv, replace(moved, positions=moved.positions + 0.4, facing=np.zeros(len(moved.rows))))
    assert (made[11:24, 9:27, 0] > 0).all()
