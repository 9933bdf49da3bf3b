"""Clean-up of corrupted poses, against the exact IUV: jitter, wrong parts, holes, outliers, cuts."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.pose.cleanup import agreement, cleaned
from mcld_anim.synthetic.dance import dance_pose
from mcld_anim.synthetic.person import Person, render
from mcld_anim.synthetic.scene import Light, View

SIZE, FRAMES = 160, 6


@pytest.fixture(scope="module")
def exact() -> list[np.ndarray]:
    """Exact IUV of a dance at 25 frames per second."""
    person, wall = Person.from_seed(900_004), np.ones((SIZE, SIZE, 3), np.float32)
    poses = [dance_pose(0.2 + index / 25) for index in range(FRAMES)]
    return [render(person, pose, View(zoom=0.8), Light(), wall, SIZE, supersample=1).iuv for pose in poses]


def spoiled(exact: list[np.ndarray]) -> list[np.ndarray]:
    """Typical errors of an estimator, different in each frame: U, V jitter, patches of a wrong part, holes."""
    random, made = np.random.default_rng(0), []
    for iuv in exact:
        person = iuv[..., 0] > 0
        jitter = random.normal(0, 6, (*iuv.shape[:2], 2))
        bad = iuv.copy()
        bad[..., 1:] = np.where(person[..., None], (iuv[..., 1:] + jitter).round().clip(0, 255), 0)
        places = np.argwhere(person)
        for row, column in places[random.integers(0, len(places), 5)]:
            patch = (slice(row - 3, row + 3), slice(column - 3, column + 3))
            bad[patch][bad[patch][..., 0] > 0, 0] = random.integers(1, 25)
        for row, column in places[random.integers(0, len(places), 4)]:
            bad[row - 2 : row + 3, column - 2 : column + 3] = 0
        made.append(bad)
    return made


def errors(found: list[np.ndarray], exact: list[np.ndarray]) -> tuple[float, float]:
    """Share of the person's pixels with a wrong part, and mean error of U, V (levels) where the part is right."""
    wrong, off = [], []
    for one, truth in zip(found, exact, strict=True):
        person = truth[..., 0] > 0
        right = person & (one[..., 0] == truth[..., 0])
        wrong.append(1 - right.sum() / person.sum())
        off.append(np.abs(one[right][:, 1:].astype(int) - truth[right][:, 1:]).mean())
    return float(np.mean(wrong)), float(np.mean(off))


def test_spoiled_poses_come_nearer_to_the_truth(exact: list[np.ndarray]) -> None:
    bad = spoiled(exact)
    made = list(cleaned(((iuv, True, False) for iuv in bad), 0.8))
    before, after = errors(bad, exact), errors([pose.iuv for pose in made], exact)
    assert after[0] < 0.6 * before[0]
    assert after[1] < 0.85 * before[1]
    assert all(pose.person_found and not pose.cut for pose in made)


def test_good_poses_are_hardly_changed(exact: list[np.ndarray]) -> None:
    made = [pose.iuv for pose in cleaned(((iuv, True, False) for iuv in exact), 0.6)]
    wrong, off = errors(made, exact)
    assert wrong < 0.02
    assert off < 2


def test_strength_0_leaves_the_input_untouched(exact: list[np.ndarray]) -> None:
    bad = spoiled(exact)
    for pose, iuv in zip(cleaned(((iuv, True, False) for iuv in bad), 0.0), bad, strict=True):
        assert pose.iuv is iuv
        assert pose.status == "seen"


def test_an_outlier_is_replaced_and_marked(exact: list[np.ndarray]) -> None:
    bad = [*exact[:2], np.roll(exact[2][:, ::-1], 40, 1), *exact[3:]]
    made = list(cleaned(((iuv, True, False) for iuv in bad), 0.6))
    assert [pose.status for pose in made].count("replaced") == 1
    assert made[2].status == "replaced"
    assert agreement(made[2].iuv, exact[2]) > 0.7


def test_a_hole_is_filled_and_marked(exact: list[np.ndarray]) -> None:
    bad = [iuv.copy() for iuv in exact]
    rows, columns = np.nonzero(bad[2][..., 0] == 2)  # the torso
    place = (slice(int(rows.mean()) - 5, int(rows.mean()) + 5), slice(int(columns.mean()) - 5, int(columns.mean()) + 5))
    bad[2][place] = 0
    made = list(cleaned(((iuv, True, False) for iuv in bad), 0.8))
    assert made[2].status == "filled"
    assert (made[2].iuv[place][..., 0] == exact[2][place][..., 0]).mean() > 0.9


def test_held_poses_are_marked_and_left(exact: list[np.ndarray]) -> None:
    made = list(cleaned([(exact[0], True, False), (exact[0], False, False), (exact[1], True, False)], 0.8))
    assert [(pose.status, pose.person_found) for pose in made] == [("seen", True), ("held", False), ("seen", True)]
    assert made[1].iuv is exact[0]


def test_nothing_is_smoothed_over_a_cut(exact: list[np.ndarray]) -> None:
    moved = [np.roll(iuv, (0, 8), (0, 1)) for iuv in spoiled(exact)[3:]]
    shots = [*spoiled(exact)[:3], *moved]
    made = list(cleaned(((iuv, True, index == 3) for index, iuv in enumerate(shots)), 0.8))
    assert [pose.cut for pose in made] == [False, False, False, True, False, False]
    scenes = [list(cleaned(((iuv, True, False) for iuv in scene), 0.8)) for scene in (shots[:3], moved)]
    for pose, alone in zip(made, [*scenes[0], *scenes[1]], strict=True):
        assert np.array_equal(pose.iuv, alone.iuv)
    smoothed = list(cleaned(((iuv, True, False) for iuv in shots), 0.8))
    assert not np.array_equal(smoothed[3].iuv, made[3].iuv)


def test_frames_come_as_a_stream(exact: list[np.ndarray]) -> None:
    """Only one frame is read ahead, so memory does not grow."""
    read = []

    def poses():
        for number, iuv in enumerate(exact):
            read.append(number)
            yield iuv, True, False

    stream = cleaned(poses(), 0.6)
    next(stream)
    assert read == [0, 1]
