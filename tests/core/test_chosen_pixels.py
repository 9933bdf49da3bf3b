"""Pixels chosen by a mask are those that numpy's own masks choose."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.core.chosen_pixels import ChosenPixels


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_values_are_taken_and_put_back_as_by_masks(share: float) -> None:
    random = np.random.default_rng(0)
    mask = random.random((7, 5)) < share
    chosen = ChosenPixels(mask)
    for planes in (random.integers(0, 256, (7, 5, 3)).astype(np.uint8), random.normal(size=(7, 5)).astype(np.float32)):
        values = chosen.of(planes)
        assert np.array_equal(values, planes[mask])
        expected = np.zeros_like(planes)
        expected[mask] = values
        again = chosen.planes(values)
        assert again.dtype == planes.dtype
        assert np.array_equal(again, expected)


def test_a_part_of_a_larger_picture_is_a_picture() -> None:
    whole = np.arange(60).reshape(6, 10)
    part = whole[1:5, 2:9]
    assert ChosenPixels(part % 2 == 0).of(part).tolist() == part[part % 2 == 0].tolist()
