"""Poses and dances."""

import itertools

import numpy as np
import pytest

from mcld_anim.body.rig import forward_kinematics, load_body
from mcld_anim.synthetic.dance import KEY_POSES, ROUTINE, dance_pose, key_pose, mirrored, random_routine
from mcld_anim.synthetic.motion import Pose, bone_rotations, random_pose, walking_pose


def joints(pose: Pose) -> dict[str, np.ndarray]:
    body = load_body()
    turned, shift = forward_kinematics(body.mean_joints, body.parents, bone_rotations(body, pose))
    moved = np.einsum("bij,bj->bi", turned, body.mean_joints) + shift
    return dict(zip(body.bones, moved, strict=True))


def test_the_rest_pose_leaves_every_joint_where_it_is():
    for name, place in joints(Pose()).items():
        assert np.allclose(place, load_body().joint(name), atol=1e-5), name


def test_bones_keep_their_length_in_any_pose():
    body = load_body()
    posed = joints(random_pose(np.random.default_rng(0)))
    for bone, parent in zip(body.bones, body.parents, strict=True):
        if parent >= 0:
            rest = np.linalg.norm(body.joint(bone) - body.mean_joints[parent])
            assert np.linalg.norm(posed[bone] - posed[body.bones[parent]]) == pytest.approx(rest, abs=1e-5)


@pytest.mark.parametrize(
    ("angle", "joint", "axis", "sign"),
    [
        ("arm_raise.L", "hand.L", 2, 1),
        ("arm_forward.R", "hand.R", 1, -1),
        ("leg_forward.L", "foot.L", 1, -1),
        ("leg_out.R", "foot.R", 0, -1),
        ("knee.L", "foot.L", 1, 1),
        ("bend", "head", 1, -1),
        ("lean", "head", 0, 1),
        ("elbow.L", "hand.L", 1, -1),
    ],
)
def test_angles_move_the_body_as_their_names_say(angle, joint, axis, sign):
    assert sign * (joints(Pose({angle: 0.5}))[joint] - joints(Pose())[joint])[axis] > 0.03


def test_fingers_curl_towards_the_palm():
    """Curled fingertips come nearer to the wrist."""
    for side in "LR":
        for finger in (2, 3, 4, 5):
            tip, wrist = f"finger{finger}-3.{side}", f"hand.{side}"
            curled, flat = joints(Pose({f"curl.{side}": 0.8})), joints(Pose())
            near = np.linalg.norm(curled[tip] - curled[wrist])
            assert near < np.linalg.norm(flat[tip] - flat[wrist]) - 0.005


def test_a_mirrored_pose_is_the_mirror_image():
    pose = random_pose(np.random.default_rng(3)).changed(turn=0.4)
    straight, swapped = joints(pose), joints(mirrored(pose))
    for name, place in straight.items():
        other = name[:-1] + {"L": "R", "R": "L"}[name[-1]] if name.endswith((".L", ".R")) else name
        assert np.allclose(swapped[other], place * (-1, 1, 1), atol=0.01), name


def test_a_dance_reaches_its_key_poses_on_the_beat_and_moves_smoothly():
    for number in range(3):
        pose, wanted = dance_pose(number * 0.5), key_pose(ROUTINE[number])
        assert all(abs(pose[name] - wanted[name]) < 0.06 for name in wanted.angles)
    steps = [dance_pose(index / 100) for index in range(600)]
    for one, following in itertools.pairwise(steps):
        assert max(abs(one[name] - following[name]) for name in one.angles) < 0.25


def test_walking_repeats_after_one_round_and_swings_legs_in_turn():
    assert walking_pose(0.3).angles == pytest.approx(walking_pose(1.3).angles)
    left, right = walking_pose(0.25), walking_pose(0.75)
    assert left["leg_forward.L"] > 0.3 > right["leg_forward.L"]
    assert left["leg_forward.L"] == pytest.approx(right["leg_forward.R"])


def test_random_routines_never_repeat_a_key_pose():
    routine = random_routine(np.random.default_rng(1), 30)
    assert len(routine) == 30
    assert all(one != following for one, following in itertools.pairwise(routine))
    assert {name.rstrip("*") for name in routine} <= set(KEY_POSES)
