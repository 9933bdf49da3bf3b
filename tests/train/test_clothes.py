"""Other clothes on rendered people: where they are painted, and what is unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcld_anim.body.part_labels import TORSO_BACK, TORSO_FRONT
from mcld_anim.core.arrays import HEAD_PARTS, Iuv, Picture
from mcld_anim.train.clothes import LOWER_ARMS, MIDDLE, UPPER_ARMS, dressed
from mcld_anim.train.views import PeopleViews, ViewsOptions

CLOTH = (TORSO_BACK, TORSO_FRONT, *UPPER_ARMS, *LOWER_ARMS)


@pytest.fixture
def frontal(people: Path) -> tuple[Picture, Iuv]:
    """The view with the largest visible chest."""
    views = PeopleViews(people, ViewsOptions(development=()))
    pairs = [views.view(person, view) for person in views.training for view in range(views.views)]
    return max(pairs, key=lambda pair: np.count_nonzero(pair[1][..., 0] == TORSO_FRONT))


def drawn(frontal: tuple[Picture, Iuv], count: int = 30, pictures: tuple[Picture, ...] = ()) -> list[np.ndarray]:
    picture, iuv = frontal
    return [
        dressed(picture.astype(np.float32), iuv, np.random.default_rng(seed), list(pictures)) for seed in range(count)
    ]


def test_only_torso_and_arms_get_other_clothes(frontal: tuple[Picture, Iuv]) -> None:
    picture, iuv = frontal
    changed = [np.abs(one - picture).max(-1) > 1 for one in drawn(frontal)]
    torso, others = np.isin(iuv[..., 0], CLOTH[:2]), (iuv[..., 0] > 0) & ~np.isin(iuv[..., 0], CLOTH)
    assert np.isin(iuv[others][:, 0], HEAD_PARTS).any()
    assert not any(one[others].any() for one in changed)
    assert np.mean([one[torso].mean() for one in changed]) > 0.95
    away = np.asarray(iuv[..., 0] == 0) & (np.abs(np.stack(changed)).mean(0) == 0)
    assert away.mean() > 0.9 * (iuv[..., 0] == 0).mean()


def test_a_jacket_opens_in_the_middle_and_downwards_to_a_point(frontal: tuple[Picture, Iuv]) -> None:
    """Shirts are mostly lighter than jackets, so the opening is light on average over many draws."""
    _, iuv = frontal
    down, aside = iuv[..., 1] / 255, abs(iuv[..., 2] / 255 - MIDDLE)
    front = iuv[..., 0] == TORSO_FRONT
    light = np.mean([one.mean(-1) for one in drawn(frontal, 80)], axis=0)

    def seen(where: np.ndarray) -> float:
        return float(light[front & where].mean())

    throat = (down < 0.25) & (aside > 0.05)
    assert seen(throat & (aside < 0.1)) > seen(throat & (aside > 0.25)) + 15
    belly = (down > 0.6) & (aside > 0.05)
    assert seen(throat & (aside < 0.1)) > seen(belly & (aside < 0.1)) + 10


def test_folds_stay(frontal: tuple[Picture, Iuv]) -> None:
    """On a torso lit from one side, the new cloth is lit from the same side."""
    picture, iuv = frontal
    torso = np.isin(iuv[..., 0], CLOTH[:2])
    lit = picture.copy()
    columns = np.arange(picture.shape[1])
    lit[torso] = np.broadcast_to(60 + columns[:, None] / 2, picture.shape)[torso]
    low, high = np.quantile(np.nonzero(torso)[1], (0.25, 0.75))
    left, right = torso & (columns < low), torso & (columns > high)
    assert np.median([one[right].mean() / max(1.0, one[left].mean()) for one in drawn((lit, iuv))]) > 1.1


def test_pictures_serve_as_cloth(frontal: tuple[Picture, Iuv]) -> None:
    checks = (np.indices((300, 300)).sum(0) // 4 % 2 * 255).astype(np.uint8)[..., None].repeat(3, -1)
    torso = frontal[1][..., 0] == TORSO_FRONT
    rough = [one[torso].std() for one in drawn(frontal, 40, (checks,))]
    assert sum(value > 80 for value in rough) > 5
    assert sum(value < 60 for value in rough) > 5
