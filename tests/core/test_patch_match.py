"""Comparing patches: the costs are distances, and the search is nearly as good as comparing all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.core.patch_match import Level, compared, described, patches_at, positions, searched


@pytest.fixture
def level() -> Level:
    """Smooth noise with a hole in the middle."""
    ramps = np.mgrid[:48, :40].astype(np.float32)
    planes = np.dstack([np.sin(ramps[0] / k) * np.cos(ramps[1] / (k + 1)) for k in range(2, 7)]).astype(np.float32)
    hole = np.zeros((48, 40), bool)
    hole[18:30, 14:26] = True
    return Level(planes * 100, hole)


def test_targets_touch_the_hole_and_sources_do_not(level: Level) -> None:
    holes = patches_at(np.repeat(level.hole[..., None], 3, 2).astype(np.float32), level.targets)
    assert (holes.max(1) == 1).all()
    assert (patches_at(np.repeat(level.hole[..., None], 3, 2).astype(np.float32), level.sources) == 0).all()
    assert len(level.targets) == 18 * 18
    assert len(level.sources) == 42 * 34 - 18 * 18  # the patches inside the picture
    np.testing.assert_array_equal(level.target_row[level.targets], np.arange(len(level.targets)))
    assert level.target_row[level.sources].max() == -1


def test_a_cost_is_the_mean_squared_difference_of_patches(level: Level) -> None:
    places = level.sources[::7]
    rows = described(level.planes, places, level.basis)
    patches, place = patches_at(level.planes[..., :3], places), positions(places, level.hole.shape)
    seen = ((rows[:, None] - rows) ** 2).sum(-1)
    texture = ((rows[:, None, 3:5] - rows[:, 3:5]) ** 2).sum(-1) + ((place[:, None] - place) ** 2).sum(-1)
    true = ((patches[:, None] - patches) ** 2).sum(-1) / 49 + texture
    np.testing.assert_allclose(seen, true, rtol=0.02, atol=5)


def test_the_search_finds_nearly_the_best(level: Level) -> None:
    sources, targets = level.source_rows, described(level.planes, level.targets, level.basis)
    generator = np.random.default_rng(0)
    found = start = generator.choice(level.sources, len(level.targets))
    begun = ((sources[start] - targets) ** 2).sum(1)
    _, best = compared(level, targets)
    for _ in range(6):
        found, cost = searched(level, targets, found, 16, generator)
    assert level.is_source.ravel()[found].all()
    np.testing.assert_allclose(((sources[found] - targets) ** 2).sum(1), cost, rtol=1e-3)
    assert (cost <= begun * 1.001).all()
    assert (cost > best - 1).all()
    assert cost.mean() < best.mean() + 0.05 * (begun.mean() - best.mean())
