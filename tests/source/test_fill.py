"""The complete atlas: seen texels are kept, others come from related places of the body."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.spatial import cKDTree

from mcld_anim.body.uv_tables import chart_islands, chart_table
from mcld_anim.core.arrays import MIRROR_PART, MIRRORED_U, MIRRORED_V
from mcld_anim.source.fill import OTHER_SIDE, complete_atlas, fill_atlas


def borders(part: int) -> dict[int, np.ndarray]:
    """Neighbouring part -> (n, 2) U, V of the vertices of `part` that it shares."""
    charts = chart_table()
    points = charts.points(part)
    shared = {}
    for other in range(1, 25):
        on = np.isin(charts.smpl[points], charts.smpl[charts.points(other)])
        if other != part and on.any():
            shared[other] = np.stack([charts.u[points[on]], charts.v[points[on]]], axis=-1)
    return shared


def turn(uv: np.ndarray, swap: bool, u: bool, v: bool) -> np.ndarray:
    uv = uv[:, ::-1] if swap else uv
    return np.stack([1 - uv[:, 0] if u else uv[:, 0], 1 - uv[:, 1] if v else uv[:, 1]], axis=-1)


@pytest.mark.parametrize("part", range(1, 25))
def test_the_mirror_turn_brings_borders_with_the_same_neighbours_together(part: int) -> None:
    mirror = MIRROR_PART[part - 1]
    mine, theirs = borders(part), borders(mirror)

    def distance(swap: bool, u: bool, v: bool) -> float:
        return float(
            np.mean(
                [
                    cKDTree(theirs[MIRROR_PART[other - 1]]).query(turn(uv, swap, u, v))[0].mean()
                    for other, uv in mine.items()
                    if other != mirror and MIRROR_PART[other - 1] in theirs
                ]
            )
        )

    best = min(itertools.product((False, True), repeat=3), key=lambda way: distance(*way))
    assert best == (False, part in MIRRORED_U, part in MIRRORED_V)
    assert distance(*best) < 0.05


def test_front_and_back_are_each_others_other_side() -> None:
    assert all(OTHER_SIDE[OTHER_SIDE[part]] == part for part in OTHER_SIDE)
    assert all(OTHER_SIDE[part] in borders(part) for part in OTHER_SIDE)


def seen_only(*colours: tuple[int, tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """An atlas in which some parts' islands are seen, each in one colour."""
    atlas, valid = np.zeros((24, 200, 200, 3), np.uint8), np.zeros((24, 200, 200), bool)
    for part, colour in colours:
        valid[part - 1] = chart_islands()[part - 1]
        atlas[part - 1][valid[part - 1]] = colour
    return atlas, valid


def test_seen_texels_stay_as_they_are() -> None:
    generator = np.random.default_rng(0)
    atlas = generator.integers(0, 256, (24, 200, 200, 3), dtype=np.uint8)
    valid = generator.random((24, 200, 200)) < 0.01
    np.testing.assert_array_equal(fill_atlas(atlas, valid)[valid], atlas[valid])


def test_an_unseen_arm_looks_like_the_other_arm() -> None:
    whole = fill_atlas(*seen_only((15, (200, 10, 20)), (2, (1, 2, 3))))
    assert (whole[16 - 1] == (200, 10, 20)).all()  # the other upper arm's front
    assert (whole[17 - 1] == (200, 10, 20)).all()  # its back
    assert (whole[18 - 1] == (200, 10, 20)).all()  # the back of the other


def test_the_back_looks_like_the_front() -> None:
    assert (fill_atlas(*seen_only((2, (9, 99, 199))))[0] == (9, 99, 199)).all()


def test_a_hand_takes_the_colour_of_its_forearm_and_a_foot_of_its_leg() -> None:
    whole = fill_atlas(*seen_only((19, (120, 80, 60)), (13, (5, 5, 5))))
    assert (whole[4 - 1] == (120, 80, 60)).all()
    assert (whole[3 - 1] == (120, 80, 60)).all()
    assert (whole[6 - 1] == (5, 5, 5)).all()


def test_a_face_seen_on_one_side_is_mirrored() -> None:
    atlas, valid = seen_only((23, (0, 0, 0)))
    atlas[22] = np.linspace(0, 255, 200, dtype=np.uint8)[None, :, None]
    np.testing.assert_array_equal(
        fill_atlas(atlas, valid)[23][chart_islands()[22][:, ::-1]],
        atlas[22][:, ::-1][chart_islands()[22][:, ::-1]],
    )


def test_a_body_of_which_nothing_is_known_is_grey() -> None:
    assert (fill_atlas(*seen_only()) == 128).all()


def test_the_mixed_colours_of_the_silhouette_are_left_out() -> None:
    iuv = np.zeros((64, 64, 3), np.uint8)
    iuv[16:48, 16:48] = 2, 0, 0
    iuv[..., 1:][iuv[..., 0] > 0] = np.stack(np.meshgrid(*[np.arange(32) * 8] * 2), axis=-1).reshape(-1, 2)
    picture = np.full((64, 64, 3), 50, np.uint8)
    picture[17:47, 17:47] = 200
    atlas, valid = complete_atlas(picture, iuv)
    assert valid[1].any()
    assert (atlas[1] == 200).all()


def test_thin_parts_are_kept() -> None:
    iuv = np.zeros((64, 64, 3), np.uint8)
    iuv[10:50, 30] = 4, 100, 100  # one pixel wide
    assert complete_atlas(np.full((64, 64, 3), 90, np.uint8), iuv)[1][3].any()


def test_a_limb_that_is_not_seen_takes_the_colour_of_the_next_part_towards_the_torso() -> None:
    sleeve, shirt = (240, 120, 30), (20, 40, 200)
    atlas, valid = seen_only((15, sleeve), (16, sleeve), (17, sleeve), (18, sleeve), (2, shirt))
    made = fill_atlas(atlas, valid)
    for part in (19, 20, 21, 22, 3, 4):
        assert (made[part - 1] == sleeve).all()
    for part in (7, 9, 14, 5):
        assert (made[part - 1] == shirt).all()
