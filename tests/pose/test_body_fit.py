"""The segments' maps fitted to IUV, against the renderer's joints."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.body.rig import FloatArray, forward_kinematics, load_body, skin
from mcld_anim.body.surface import PARENTS, SEGMENTS, rest_body
from mcld_anim.pose.body_fit import fit_body, posed
from mcld_anim.synthetic.anatomy import anatomy
from mcld_anim.synthetic.motion import Pose, bone_rotations
from mcld_anim.synthetic.person import Person, draw_iuv
from mcld_anim.synthetic.scene import View

SIZE = 192
VIEW = View(zoom=0.75)


def true_joints(person: Person, pose: Pose) -> FloatArray:
    """(S, 2) x, y in pixels of the segments' joints."""
    body = load_body()
    turned, shift = forward_kinematics(person.joints, body.parents, bone_rotations(body, pose))
    joints = np.einsum("bij,bj->bi", turned, person.joints) + shift
    lowest = skin(person.vertices, person.weights, turned, shift)[: len(anatomy().field), 2].min()
    joints[:, 2] += pose["rise"] - lowest - person.identity.stature / 2
    names = [f"{segment.joint}.{segment.side}" if segment.side else segment.joint for segment in SEGMENTS]
    chosen = joints[[body.bone(name) for name in names]].astype(np.float32)
    return VIEW.project(chosen, SIZE)[:, :2]


def joints_of(maps: np.ndarray) -> np.ndarray:
    return np.einsum("sij,sj->si", maps, np.concatenate([rest_body().joints, np.ones((len(SEGMENTS), 1))], 1))


@pytest.mark.parametrize("moment", range(0, 8, 2))
def test_joints_are_found(steps: list[Pose], slim: Person, moment: int) -> None:
    fit = fit_body(draw_iuv(slim.posed(steps[moment]), VIEW, SIZE))
    assert fit is not None
    off = np.linalg.norm(joints_of(fit.maps) - true_joints(slim, steps[moment]), axis=1)
    assert np.median(off) < 1.2
    assert off.max() < 5


def test_the_surface_is_found_and_the_joints_hold(draw, steps: list[Pose], stocky: Person) -> None:
    iuv, body = draw(stocky, steps[1]), rest_body()
    fit = fit_body(iuv)
    assert fit is not None
    assert fit.seen.sum() == pytest.approx((iuv[..., 0] > 0).sum())
    off = np.linalg.norm(posed(fit.maps, body.shares[fit.cells], body.places[fit.cells]) - fit.positions, axis=1)
    assert np.median(off) < 1
    gaps = [
        np.linalg.norm((fit.maps[index] - fit.maps[parent]) @ np.append(body.joints[index], 1))
        for index, parent in enumerate(PARENTS)
        if parent >= 0
    ]
    assert max(gaps) < 1.5


def test_wrong_labels_hardly_matter(draw, steps: list[Pose], stocky: Person) -> None:
    """With patches of a wrong part, a typical error of estimators."""
    iuv, random = draw(stocky, steps[1]), np.random.default_rng(0)
    bad, places = iuv.copy(), np.argwhere(iuv[..., 0] > 0)
    for row, column in places[random.integers(0, len(places), 12)]:
        patch = bad[row - 3 : row + 3, column - 3 : column + 3]
        patch[patch[..., 0] > 0, 0] = random.integers(1, 25)
    good, spoiled = fit_body(iuv), fit_body(bad)
    assert good is not None
    assert spoiled is not None
    off = np.linalg.norm(joints_of(good.maps) - joints_of(spoiled.maps), axis=1)
    assert np.median(off) < 1
    assert off.max() < 4


def test_what_is_not_seen_goes_with_what_carries_it(draw, stocky: Person) -> None:
    """If the left lower arm and hand are hidden, the fit places them as on a straight arm."""
    iuv = draw(stocky)
    iuv[np.isin(iuv[..., 0], (4, 19, 21))] = 0
    fit = fit_body(iuv)
    assert fit is not None
    assert fit.maps[4][:, :3] == pytest.approx(fit.maps[3][:, :3], abs=0.35 * np.abs(fit.maps[3][:, :3]).max())
    assert np.isfinite(fit.maps).all()


def test_nobody_and_a_single_pixel() -> None:
    empty = np.zeros((32, 32, 3), np.uint8)
    assert fit_body(empty) is None
    empty[10, 12] = (2, 100, 100)
    fit = fit_body(empty)
    assert fit is not None
    assert np.isfinite(fit.maps).all()
