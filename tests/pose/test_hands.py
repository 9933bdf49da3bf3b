"""Bent fingers: angles from landmarks, steadied over time, and seen by the real network in raised hands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcld_anim.body.skeleton import RELAXED
from mcld_anim.pose.blazepose import BlazePose
from mcld_anim.pose.hands import MOST, STRAIGHT, finger_bends, steady_fingers
from mcld_anim.synthetic.dance import KEY_POSES
from mcld_anim.synthetic.motion import Pose
from mcld_anim.synthetic.person import Person, render
from mcld_anim.synthetic.scene import Light, View

PICTURE = 640


def hand(angle: float) -> np.ndarray:
    """Landmarks of a hand whose joints are all bent by `angle`."""
    points = np.zeros((21, 3))
    for finger in range(5):
        # The chain of a finger begins at the wrist and bends over its knuckle; the thumb's begins beside it.
        place, heading = (np.array([0.02, 0.0, 0.0]), 0.0) if finger == 0 else (np.array([0.0, 0.09, 0.0]), angle)
        chain = [1, 2, 3, 4] if finger == 0 else [4 * finger + 1 + k for k in range(4)]
        for number in chain:
            points[number] = place
            place = place + 0.03 * np.array([0.0, np.cos(heading), np.sin(heading)])
            heading += angle
    return points


@pytest.mark.parametrize("angle", [0.0, 0.4, 0.9])
def test_the_bend_of_every_finger_is_that_of_its_joints(angle: float) -> None:
    assert np.allclose(finger_bends(hand(angle)), max(0.0, angle - STRAIGHT), atol=1e-3)


def test_no_joint_bends_further_than_it_can() -> None:
    assert finger_bends(hand(2.5)).max() == pytest.approx(MOST)


def test_fingers_are_steady_inside_a_scene_and_relaxed_where_they_are_not_seen() -> None:
    seen = np.full((40, 2, 5), np.nan, np.float32)
    seen[0:20:3, 0] = 1.0 + 0.2 * np.random.default_rng(0).normal(size=(7, 5))
    made = steady_fingers(seen, [slice(0, 20), slice(20, 40)])
    assert np.isfinite(made).all()
    assert np.abs(made[:20, 0] - 1).max() < 0.35
    assert np.abs(np.diff(made[:20, 0], axis=0)).max() < 0.12  # the looks jump by up to 0.5
    assert np.allclose(made[:, 1], RELAXED)
    assert np.allclose(made[20:], RELAXED)  # nothing passes a cut


def test_the_network_sees_fists_and_open_hands(blazepose_home: Path) -> None:
    networks = BlazePose(blazepose_home / "blazepose")
    bends = []
    for curl in (0.0, 1.2):
        pose = Pose({**KEY_POSES["cheer"], "curl.L": curl, "curl.R": curl})
        wall = np.full((PICTURE, PICTURE, 3), 0.8)
        picture = render(Person.from_seed(12), pose, View(zoom=0.9), Light(), wall, PICTURE, 1).picture
        (look,) = networks.find(picture)
        bends.append(networks.hands.bends(picture, look.xy, look.visibility))
    open_hands, fists = np.array(bends)[:, :, 1:].mean(-1)
    assert (fists > open_hands + 0.15).all()
    tiny = np.full((33, 2), 100.0)
    tiny[15:23] += np.random.default_rng(0).random((8, 2))
    assert np.isnan(networks.hands.bends(picture, tiny, np.ones(33))).all()  # too small to see
    assert np.isnan(networks.hands.bends(picture, look.xy, np.zeros(33))).all()  # not visible
