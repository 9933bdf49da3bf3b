"""The skeleton of the fit: the same kinematics as the renderer's, and landmarks where a person has them."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from mcld_anim.body.rig import forward_kinematics, load_body, skin
from mcld_anim.body.skeleton import (
    CONTROLS,
    SHAPES,
    bone_rotations,
    pose_bones,
    pose_landmarks,
    skeleton,
)

NOSE, EYES, EARS, MOUTH = 0, (2, 5), (7, 8), (9, 10)
SHOULDERS, ELBOWS, WRISTS = (11, 12), (13, 14), (15, 16)
HIPS, KNEES, ANKLES, HEELS, TOES = (23, 24), (25, 26), (27, 28), (29, 30), (31, 32)
LEFT = [1, 2, 3, 7, 9, *range(11, 33, 2)]
RIGHT = [4, 5, 6, 8, 10, *range(12, 33, 2)]
BONES_OF = {"spine": ("spine04", "spine03", "spine02"), "neck": ("neck02", "head")}


def random_controls(frames: int) -> np.ndarray:
    vectors = np.random.default_rng(0).uniform(-0.8, 0.8, (frames * len(CONTROLS), 3))
    return Rotation.from_rotvec(vectors).as_matrix().reshape(frames, len(CONTROLS), 3, 3)


def test_bones_are_posed_as_the_renderer_poses_them() -> None:
    body, bones = load_body(), skeleton()
    controls = random_controls(3)
    shape = np.random.default_rng(1).normal(size=SHAPES)
    _, joints = body.rest(shape.astype(np.float32), np.zeros(1, np.float32))
    kept = [index for index, name in enumerate(body.bones) if not name.startswith(("finger", "eye"))]
    assert np.allclose(bones.rest_joints(shape, 1.0), joints[kept], atol=1e-5)
    ours = pose_bones(bone_rotations(torch.from_numpy(controls), bones), torch.from_numpy(joints[kept]).double(), bones)
    for frame, rotations in enumerate(controls):
        own = {
            body.bone(bone): rotation
            for control, rotation in zip(CONTROLS, rotations, strict=True)
            for bone in BONES_OF.get(control, (control,))
        }
        turned, shift = forward_kinematics(joints, body.parents, own)
        assert np.allclose(ours[0][frame], turned[kept], atol=1e-9)
        assert np.allclose(ours[1][frame], shift[kept], atol=1e-6)
        # The skin follows: fingers and eyes hang on hands and head.
        moved = skin(body.mean_vertices, bones.weights, ours[0][frame].numpy(), ours[1][frame].numpy())
        assert np.allclose(moved, skin(body.mean_vertices, body.weights, turned, shift), atol=1e-5)


def test_every_landmark_moves_with_its_own_bone() -> None:
    bones, body = skeleton(), load_body()
    kept = [name for name in body.bones if not name.startswith(("finger", "eye"))]
    carriers = [kept[bone] for bone in bones.landmark_bone]
    assert set(carriers[:11]) == {"head"}
    assert carriers[11:17] == [f"{bone}.{side}" for bone in ("upperarm", "lowerarm", "hand") for side in "LR"]
    assert carriers[17:23] == ["hand.L", "hand.R"] * 3
    assert carriers[23:29] == [f"{bone}.{side}" for bone in ("upperleg", "lowerleg", "foot") for side in "LR"]
    assert carriers[29:] == ["foot.L", "foot.R"] * 2
    still = torch.eye(3).expand(1, len(kept), 3, 3)
    up = torch.zeros(1, len(kept), 3)
    up[0, kept.index("hand.L"), 2] = 1
    moved = pose_landmarks(still, up, torch.from_numpy(bones.landmarks).float(), bones)[0].numpy() - bones.landmarks
    assert np.flatnonzero(moved[:, 2] > 0.5).tolist() == [15, 17, 19, 21]


def test_landmarks_of_the_mean_body_lie_where_a_person_has_them() -> None:
    places = skeleton().landmarks
    assert np.allclose(places[LEFT] * [-1, 1, 1], places[RIGHT], atol=0.004)
    assert (places[LEFT, 0] > 0).all()  # the body's left is the picture's right
    assert abs(places[NOSE, 0]) < 0.002
    order = (EYES, MOUTH, SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES, ANKLES)
    heights = [float(places[list(pair), 2].mean()) for pair in order]
    assert heights == sorted(heights, reverse=True)
    assert places[NOSE, 1] < places[list(EYES), 1].mean() < places[list(EARS), 1].mean()  # the body looks along -y
    assert places[list(TOES), 1].mean() < places[list(HEELS), 1].mean() - 0.1
    widths = [float(places[left, 0] - places[right, 0]) for left, right in (EYES, EARS, HIPS, SHOULDERS)]
    assert widths == sorted(widths)
    body = load_body()
    for pair, joint in ((SHOULDERS, "upperarm"), (HIPS, "upperleg"), (KNEES, "lowerleg"), (ANKLES, "foot")):
        for landmark, side in zip(pair, "LR", strict=True):
            assert np.linalg.norm(places[landmark] - body.joint(f"{joint}.{side}")) < 0.04


def test_a_person_twice_as_large_has_landmarks_twice_as_far_apart() -> None:
    bones = skeleton()
    shape = np.random.default_rng(2).normal(size=SHAPES)
    assert np.allclose(bones.rest_landmarks(shape, 2.0), 2 * bones.rest_landmarks(shape, 1.0))
    assert np.allclose(bones.rest_joints(shape, 2.0), 2 * bones.rest_joints(shape, 1.0))
    # Landmarks follow the shape as the joints do that they lie on.
    moved = bones.rest_landmarks(shape, 1.0) - bones.landmarks
    wrist = bones.landmark_bone[15]
    assert np.allclose(moved[15], (bones.rest_joints(shape, 1.0) - bones.joints)[wrist], atol=1e-6)
