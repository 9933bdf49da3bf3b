"""One side of a person from the other: mirrored, in the light of what is beside it."""

from __future__ import annotations

import numpy as np

from mcld_anim.core.arrays import HEAD_PARTS, PART_COUNT
from mcld_anim.source.fill import turned
from mcld_anim.source.mirrored import mirrored

RIGHT, LEFT = HEAD_PARTS


def test_the_other_side_comes_mirrored_in_this_ones_light() -> None:
    shown = np.full((PART_COUNT, 200, 200, 3), 150, np.uint8)
    shown[RIGHT - 1, 60:70] = 90, 50, 40  # an eyebrow
    shown[LEFT - 1] = turned(shown[RIGHT - 1], LEFT) - 20  # in the shade
    seen = np.zeros((PART_COUNT, 200, 200), bool)
    seen[RIGHT - 1] = True
    middle = turned(np.arange(200)[None, :].repeat(200, 0), LEFT)
    seen[LEFT - 1] = middle > 150
    atlas, taken = mirrored(shown, seen)
    assert np.array_equal(taken[LEFT - 1], ~seen[LEFT - 1])
    assert not taken[RIGHT - 1].any()
    expected, made = shown[LEFT - 1].astype(int), atlas[LEFT - 1].astype(int)
    near, far = (middle > 140) & ~seen[LEFT - 1], middle < 20
    assert np.abs(made[near] - expected[near]).max() <= 6
    assert np.array_equal(made[seen[LEFT - 1]], expected[seen[LEFT - 1]])
    np.testing.assert_allclose(made[far] - expected[far], 20, atol=3)  # nobody knows the light there


def test_what_differs_by_more_than_light_tells_nothing_about_it() -> None:
    """A scarf over one shoulder does not tint the rest of that side."""
    shown = np.full((PART_COUNT, 200, 200, 3), 150, np.uint8)
    seen = np.ones((PART_COUNT, 200, 200), bool)
    shown[LEFT - 1, :, 120:] = 200, 20, 20
    seen[LEFT - 1, :, :120] = False
    atlas, _ = mirrored(shown, seen)
    assert (atlas[LEFT - 1, :, :120] == 150).all()
