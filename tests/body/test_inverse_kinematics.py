"""Joint rotations in closed form: known poses come back, mirror images give mirrored rotations, nothing is NaN."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mcld_anim.body.inverse_kinematics import MOST_WRIST, inverse_kinematics
from mcld_anim.body.skeleton import CONTROLS, SHAPES, skeleton
from mcld_anim.pose.blazepose import LANDMARKS, MIRRORED

REST = skeleton().rest_landmarks(np.zeros(SHAPES), 1.0)
MOST_TURNS = {"root": 1.5, "spine": 0.06, "neck": 0.1, "clavicle": 0.0}
"""Largest turn in radians of a moderate pose; 0.2 for the limbs."""
SWAPPED = [CONTROLS.index(name.translate(str.maketrans("LR", "RL"))) for name in CONTROLS]
MIRROR = np.diag([-1.0, 1.0, 1.0])


def angle(rotations: np.ndarray) -> np.ndarray:
    """Angles of rotations, in radians."""
    return Rotation.from_matrix(rotations.reshape(-1, 3, 3)).magnitude().reshape(rotations.shape[:-2])


def random_turns(seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {
        name: MOST_TURNS.get(name.partition(".")[0], 0.2) * generator.uniform(-1, 1, 3) * _axes(name)
        for name in CONTROLS
    }


def _axes(name: str) -> np.ndarray:
    return np.array([0.1, 0.1, 1.0]) if name == "root" else np.ones(3)  # people turn about the vertical


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 100_000))
def test_moderate_poses_come_back(seed: int, controls: Callable, landmarks: Callable, seen_from_hips: Callable) -> None:
    world = seen_from_hips(landmarks(controls(random_turns(seed))))
    again = seen_from_hips(landmarks(inverse_kinematics(world, REST)))
    apart = np.linalg.norm(again - world, axis=-1)
    assert apart.mean() < 0.02  # metres
    assert apart.max() < 0.04


@pytest.mark.parametrize(
    ("name", "vector"),
    [
        ("root", (0.0, 0.0, 2.5)),
        ("root", (0.6, -0.3, 1.0)),
        ("neck", (0.1, 0.0, 0.4)),
        ("neck", (-0.2, 0.2, 0.0)),
        ("hand.L", (0.3, 0.0, 0.4)),
        ("foot.R", (0.5, 0.0, 0.1)),
    ],
)
def test_single_turns_come_back(
    name: str, vector: tuple[float, float, float], controls: Callable, landmarks: Callable, seen_from_hips: Callable
) -> None:
    given = controls({name: vector})
    found = inverse_kinematics(seen_from_hips(landmarks(given)), REST)
    if name.startswith("hand"):  # the forearm carries half of the twist
        found = seen_from_hips(landmarks(found))
        assert np.allclose(found, seen_from_hips(landmarks(given)), atol=0.005)
    else:
        # The ankle's landmark moves with the foot, and the shin's direction with it.
        assert angle(np.swapaxes(found, -1, -2) @ given).max() < (0.12 if name.startswith("foot") else 0.002)


@pytest.mark.parametrize(
    ("name", "vector", "landmark"),
    [
        ("upperarm.L", (0.0, -1.0, 0.0), 15),
        ("upperarm.R", (-0.8, 0.0, 0.3), 16),
        ("lowerarm.L", (-1.2, 0.0, 0.0), 15),
        ("upperleg.R", (-0.9, 0.0, 0.0), 28),
        ("lowerleg.L", (1.1, 0.0, 0.0), 27),
    ],
)
def test_bent_limbs_come_back(
    name: str, vector: tuple[float, float, float], landmark: int, controls: Callable, landmarks: Callable,
    seen_from_hips: Callable,
) -> None:  # fmt: skip
    world = seen_from_hips(landmarks(controls({name: vector})))
    assert np.linalg.norm(world[0, landmark] - seen_from_hips(REST[None])[0, landmark]) > 0.2
    again = seen_from_hips(landmarks(inverse_kinematics(world, REST)))
    assert np.linalg.norm(again - world, axis=-1).max() < 0.05
    assert np.linalg.norm(again - world, axis=-1).mean() < 0.03


@settings(max_examples=40, deadline=None, derandomize=True)
@given(seed=st.integers(0, 100_000))
def test_the_mirror_image_gives_mirrored_rotations(
    seed: int, controls: Callable, landmarks: Callable, seen_from_hips: Callable
) -> None:
    rest = (REST + (REST @ MIRROR)[list(MIRRORED[:LANDMARKS])]) / 2  # the body is symmetric to a millimetre only
    world = seen_from_hips(landmarks(controls(random_turns(seed))))
    found = inverse_kinematics(world, rest)
    mirrored = inverse_kinematics((world @ MIRROR)[:, list(MIRRORED[:LANDMARKS])], rest)
    assert np.allclose(mirrored, MIRROR @ found[:, SWAPPED] @ MIRROR, atol=1e-6)


def test_who_turns_around_turns_at_the_root_only(
    controls: Callable, landmarks: Callable, seen_from_hips: Callable
) -> None:
    world = seen_from_hips(landmarks(controls(random_turns(5) | {"root": np.zeros(3)})))
    around = Rotation.from_rotvec([0.0, 0.0, 2.8]).as_matrix()
    before, after = inverse_kinematics(world, REST), inverse_kinematics(world @ around.T, REST)
    assert np.allclose(after[:, 0], around @ before[:, 0], atol=1e-6)
    assert np.allclose(after[:, 1:], before[:, 1:], atol=1e-6)


def test_straight_limbs_and_landmarks_in_one_place_give_rotations(controls: Callable, landmarks: Callable) -> None:
    straight = REST.copy()
    for first in (11, 12, 23, 24):
        straight[first + 2] = (straight[first] + straight[first + 4]) / 2
    for world in (straight[None], np.repeat(straight[None], 5, 0)):
        found = inverse_kinematics(world, REST)
        assert np.allclose(found @ np.swapaxes(found, -1, -2), np.eye(3), atol=1e-6)
        assert np.allclose(np.linalg.det(found), 1)
    assert np.isfinite(inverse_kinematics(REST[None] * [1, 1e-9, 1], REST)).all()


def test_hands_and_feet_turn_as_far_as_they_can(
    controls: Callable, landmarks: Callable, seen_from_hips: Callable
) -> None:
    for name in ("hand.L", "foot.R"):
        world = seen_from_hips(landmarks(controls({name: (1.6, 0.0, 0.0)})))
        found = inverse_kinematics(world, REST)[0, CONTROLS.index(name)]
        assert angle(found) <= MOST_WRIST + 1e-6
        assert angle(found) > 0.8 * MOST_WRIST


@pytest.mark.parametrize("toes", [(0.0, 0.02, 0.0), (0.02, 0.0, 0.01), (-0.03, 0.0, 0.0)])
def test_feet_that_are_not_seen_in_their_length_turn_no_leg(
    toes: tuple[float, float, float], controls: Callable, landmarks: Callable, seen_from_hips: Callable
) -> None:
    """From behind, heel and toes fall together, and the way from one to the other is noise."""
    world = seen_from_hips(landmarks(controls({"root": (0.0, 0.0, 3.0), "upperleg.L": (-0.3, 0.0, 0.0)})))
    legs = [CONTROLS.index(f"{name}.{side}") for name in ("upperleg", "lowerleg") for side in "LR"]
    feet = [CONTROLS.index(f"foot.{side}") for side in "LR"]
    known = inverse_kinematics(world, REST)[0]
    world[:, 31:33] = world[:, 29:31] + toes
    found = inverse_kinematics(world, REST)[0]
    assert angle(np.swapaxes(known, -1, -2)[legs] @ found[legs]).max() < 0.1
    assert angle(found[feet]).max() < 1e-6


def test_a_turned_hand_takes_half_of_its_twist_from_the_forearm(
    controls: Callable, landmarks: Callable, seen_from_hips: Callable
) -> None:
    along = REST[15] - REST[13]
    twist = 0.8 * along / np.linalg.norm(along)
    found = inverse_kinematics(seen_from_hips(landmarks(controls({"hand.L": twist}))), REST)[0]
    assert angle(found[CONTROLS.index("lowerarm.L")]) == pytest.approx(0.4, abs=0.06)
    assert angle(found[CONTROLS.index("hand.L")]) == pytest.approx(0.4, abs=0.06)
    assert angle(found[CONTROLS.index("lowerarm.R")]) < 0.02
