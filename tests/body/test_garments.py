"""Regions of garments on the body: they are where clothes are, and together they are all of it."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.body.garments import (
    USUAL_HEM,
    bare_share,
    garment_share,
    head_share,
    neck_share,
    on_texels,
    texel_heights,
)
from mcld_anim.body.rig import load_body


def test_garments_head_and_hands_make_up_the_body() -> None:
    parts = [garment_share(name, USUAL_HEM) for name in ("upper", "lower", "shoes")]
    total = np.sum([*parts, head_share()], axis=0)
    hands = load_body().weight("hand", "finger") > 0.99
    assert np.mean(np.abs(total[~hands] - 1) < 0.05) > 0.93  # the rest is seams at the wrists
    assert total[hands].mean() < 0.1


def test_the_upper_garment_ends_at_the_hem() -> None:
    heights = load_body().mean_vertices[:, 2]
    legs = load_body().weight("upperleg", "spine05") > 0.9
    for hem in (0.0, 0.2):
        upper, lower = (garment_share(name, hem)[legs] for name in ("upper", "lower"))
        assert (upper[heights[legs] < hem - 0.03] < 0.05).all()
        assert (lower[heights[legs] > hem + 0.03] < 0.05).all()
    assert garment_share("upper", 0.0).sum() > garment_share("upper", 0.2).sum()


def test_the_chin_is_the_heads_and_the_collar_is_not() -> None:
    body = load_body()
    lips = body.lips > 0.5
    assert head_share()[lips].min() > 0.95
    assert neck_share()[lips].max() < 0.05
    collar = body.weight("neck") > 0.6
    assert head_share()[collar].mean() < 0.2
    assert garment_share("upper", USUAL_HEM)[collar].mean() > 0.8


def test_a_torso_below_the_armpits_is_not_bare() -> None:
    belly = (load_body().weight("spine03", "spine04") > 0.9) & (load_body().mean_vertices[:, 2] < 0.35)
    assert bare_share()[belly].max() < 0.05
    assert bare_share()[load_body().weight("hand", "finger") > 0.99].min() > 0.9


@pytest.mark.parametrize("part", [1, 2, 9, 14, 15])
def test_texels_lie_as_high_as_the_surface_of_their_part(part: int) -> None:
    body = load_body()
    seen = body.mean_vertices[body.faces[body.part == part].ravel(), 2]
    heights = texel_heights()[part - 1]
    assert seen.min() - 0.01 <= heights.min() <= heights.max() <= seen.max() + 0.01
    assert np.ptp(heights) > 0.8 * np.ptp(seen)
    assert set(np.unique(on_texels(np.ones(len(body.mean_vertices), np.float32)))) == {1.0}
