"""The rigged body as a fit to landmarks sees it: 24 bones, 17 controls, and the 33 landmarks of BlazePose.

Fingers and eyes hang on hands and head. A control turns one bone, or several of a chain by the same rotation each.
Coordinates are metres in the axes of the rest pose, which faces the camera: x to the picture's right (the body's left),
y away from the camera, z up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mcld_anim.body.rig import Body, load_body

SHAPES = 12
"""Number of shape coefficients that are fitted, of the body's 22."""
RELAXED = (0.12, 0.35, 0.35, 0.35, 0.35)
"""Bend of every joint of a relaxed hand's fingers, from the thumb, in radians."""

_CHAINS = {"root": ("root",), "spine": ("spine04", "spine03", "spine02"), "neck": ("neck02", "head")}
_LIMBS = ("clavicle", "upperarm", "lowerarm", "hand", "upperleg", "lowerleg", "foot")
CONTROLS = (*_CHAINS, *(f"{limb}.{side}" for side in "LR" for limb in _LIMBS))
"""Names of the controls."""

SEEN_AT = {
    0: (0.0, 0.6, 0.8),
    1: (0.0, 0.2, 0.2),
    2: (0.0, 0.5, 0.1),
    3: (0.1, 0.6, 0.2),
    7: (-0.7, -1.1, 0.8),
    9: (0.2, 0.7, 0.8),
    11: (-1.0, -0.6, 1.1),
    13: (-1.7, -1.0, 0.6),
    15: (-0.5, -0.5, -1.2),
    17: (-1.1, 0.0, 0.7),
    19: (0.0, 1.4, -0.7),
    21: (2.2, 2.3, -0.6),
    23: (-1.0, -1.5, -0.4),
    25: (-0.3, 0.5, -0.8),
    27: (-0.1, -1.2, -0.3),
    29: (-0.4, -2.2, -1.0),
    31: (0.3, 1.9, -0.6),
}
"""Offset of BlazePose's left landmarks from the joints and vertices below, in percent of the mean body's stature:
measured on rendered people."""


@dataclass(frozen=True, eq=False)
class Level:
    """Bones with the same number of ancestors."""

    bones: Int[Tensor, " bones"]
    parents: Int[Tensor, " bones"]
    above: Int[Tensor, " bones"]  # places of the parents in the level above


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Everything about the body that a fit needs; C shape coefficients, V vertices."""

    parents: tuple[int, ...]  # of the 24 bones, -1 for the root
    control_of: tuple[int, ...]  # of each bone; -1: it follows its parent
    joints: Float[np.ndarray, "24 3"]  # of the mean body
    joint_basis: Float[np.ndarray, "shapes 24 3"]
    landmarks: Float[np.ndarray, "33 3"]  # of the mean body, where BlazePose sees them
    landmark_basis: Float[np.ndarray, "shapes 33 3"]
    landmark_bone: Int[np.ndarray, " 33"]
    weights: Float[np.ndarray, "vertices 24"]  # of the skin

    @cached_property
    def levels(self) -> list[Level]:
        """Every level of bones below the root."""
        depth: list[int] = []
        for parent in self.parents:
            depth.append(0 if parent < 0 else depth[parent] + 1)
        bones = [[bone for bone, own in enumerate(depth) if own == level] for level in range(max(depth) + 1)]
        parents = [[self.parents[bone] for bone in level] for level in bones[1:]]
        above = [[level.index(bone) for bone in those] for level, those in zip(bones, parents, strict=False)]
        return [Level(*map(torch.tensor, one)) for one in zip(bones[1:], parents, above, strict=True)]

    def rest_landmarks(self, shape: Float[np.ndarray, " shapes"], scale: float) -> Float[np.ndarray, "33 3"]:
        """Landmarks at rest of a person with these coefficients, `scale` times as large."""
        return (self.landmarks + np.tensordot(shape, self.landmark_basis, 1)) * scale

    def rest_joints(self, shape: Float[np.ndarray, " shapes"], scale: float) -> Float[np.ndarray, "24 3"]:
        """Joints at rest of a person with these coefficients, `scale` times as large."""
        return (self.joints + np.tensordot(shape, self.joint_basis, 1)) * scale


def bone_rotations(controls: Float[Tensor, "frames 17 3 3"], skeleton: Skeleton) -> Float[Tensor, "frames 24 3 3"]:
    """Each bone's own rotation, in the axes of the rest pose, from those of the controls."""
    still = torch.eye(3, dtype=controls.dtype).expand(len(controls), 3, 3)
    return torch.stack([still if index < 0 else controls[:, index] for index in skeleton.control_of], 1)


def pose_bones(
    rotations: Float[Tensor, "frames 24 3 3"], joints: Float[Tensor, "24 3"], skeleton: Skeleton
) -> tuple[Float[Tensor, "frames 24 3 3"], Float[Tensor, "frames 24 3"]]:
    """Forward kinematics: world rotation and shift of every bone, x -> A x + t; the root's joint stays at its place."""
    root, levels = skeleton.parents.index(-1), skeleton.levels
    turned, places = [rotations[:, [root]]], [joints[[root]].expand(len(rotations), 1, 3)]
    for level in levels:
        before = turned[-1][:, level.above]
        bones = (joints[level.bones] - joints[level.parents])[..., None]
        places.append(places[-1][:, level.above] + (before @ bones)[..., 0])
        turned.append(before @ rotations[:, level.bones])
    by_bone = torch.cat([torch.tensor([root]), *(level.bones for level in levels)]).argsort()
    rotated, moved = torch.cat(turned, 1)[:, by_bone], torch.cat(places, 1)[:, by_bone]
    return rotated, moved - (rotated @ joints[:, :, None])[..., 0]


def pose_landmarks(
    turned: Float[Tensor, "frames 24 3 3"],
    shift: Float[Tensor, "frames 24 3"],
    landmarks: Float[Tensor, "33 3"],
    skeleton: Skeleton,
) -> Float[Tensor, "frames 33 3"]:
    """Landmarks of the posed body; each moves with one bone."""
    bone = torch.from_numpy(skeleton.landmark_bone)
    return (turned[:, bone] @ landmarks[:, :, None])[..., 0] + shift[:, bone]


@lru_cache(maxsize=1)
def skeleton() -> Skeleton:
    """The skeleton of the package's body, made once."""
    body = load_body()
    kept = [name for name in body.bones if not name.startswith(("finger", "eye"))]
    index = {name: number for number, name in enumerate(kept)}
    bones = [body.bone(name) for name in kept]
    parents = tuple(index[body.bones[body.parents[bone]]] if body.parents[bone] >= 0 else -1 for bone in bones)
    weights = np.zeros((len(body.mean_vertices), len(kept)), np.float32)
    for bone in range(len(body.bones)):
        weights[:, index[_carrier(body, bone, index)]] += body.weights[:, bone]
    chains = [_CHAINS.get(control, (control,)) for control in CONTROLS]
    control_of = tuple(next((k for k, chain in enumerate(chains) if name in chain), -1) for name in kept)
    sources = _landmark_sources(body, weights[:, [index["foot.L"], index["foot.R"]]])
    offsets = _offsets(float(np.ptp(body.mean_vertices[:, 2])))

    def places(vertices: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """(..., 33, 3) from (..., V, 3) and (..., B, 3)."""
        found = [
            joints[..., source, :] if isinstance(source, int) else vertices[..., source, :].mean(-2)
            for _, source in sources
        ]
        return np.stack(found, -2)

    return Skeleton(
        parents,
        control_of,
        body.mean_joints[bones],
        body.joint_basis[:SHAPES][:, bones],
        places(body.mean_vertices, body.mean_joints) + offsets,
        places(body.shape_basis[:SHAPES], body.joint_basis[:SHAPES]),
        np.array([index[bone] for bone, _ in sources]),
        weights,
    )


def _carrier(body: Body, bone: int, kept: dict[str, int]) -> str:
    """The name of the kept bone that a bone hangs on."""
    while body.bones[bone] not in kept:
        bone = int(body.parents[bone])
    return body.bones[bone]


def _landmark_sources(body: Body, feet: np.ndarray) -> list[tuple[str, int | list[int]]]:
    """Of each landmark, in MediaPipe's order: the bone that carries it, and a joint's index or vertices to average.

    `feet` (V, 2) is the skin weight of the left and of the right foot.
    """
    vertices = body.mean_vertices
    head = (body.weight("head", "neck03") > 0.5) & ~body.eyes
    midline = np.flatnonzero(head & (np.abs(vertices[:, 0]) < 0.01))
    face = midline[np.abs(vertices[midline, 2] - body.joint("eye.L")[2] + 0.035) < 0.03]
    nose = int(face[vertices[face, 1].argmin()])
    found: dict[int, tuple[str, int | list[int]]] = {0: ("head", [nose])}
    for right, side in enumerate("LR"):
        outward = -1 if right else 1
        eye = body.joint(f"eye.{side}")
        for landmark, aside in ((1, -0.012), (2, 0.0), (3, 0.012)):
            corner = np.linalg.norm(vertices - (eye + np.array([outward * aside, -0.02, 0])), axis=1)
            found[landmark + 3 * right] = ("head", [int(corner.argmin())])
        ear = np.flatnonzero((body.ears > 0.5) & (vertices[:, 0] * outward > 0))
        found[7 + right] = ("head", ear[np.argsort(vertices[ear, 1])[: max(4, len(ear) // 4)]].tolist())
        lip = np.flatnonzero((body.lips > 0.25) & (vertices[:, 0] * outward > 0))
        found[9 + right] = ("head", lip[np.argsort(-vertices[lip, 0] * outward)[:6]].tolist())
        for landmark, bone in ((11, "upperarm"), (13, "lowerarm"), (15, "hand")):
            found[landmark + right] = (f"{bone}.{side}", body.bone(f"{bone}.{side}"))
        for landmark, joint in ((17, "finger5-1"), (19, "finger2-1"), (21, "finger1-3")):
            found[landmark + right] = (f"hand.{side}", body.bone(f"{joint}.{side}"))
        for landmark, bone in ((23, "upperleg"), (25, "lowerleg"), (27, "foot")):
            found[landmark + right] = (f"{bone}.{side}", body.bone(f"{bone}.{side}"))
        foot = np.flatnonzero(feet[:, right] > 0.6)
        sole = foot[vertices[foot, 2] < vertices[foot, 2].min() + 0.03]
        inner = vertices[sole, 1] + 0.4 * outward * vertices[sole, 0]
        found[29 + right] = (f"foot.{side}", sole[np.argsort(-vertices[sole, 1])[:8]].tolist())  # the heel
        found[31 + right] = (f"foot.{side}", sole[np.argsort(inner)[:25]].tolist())  # the big toe
    return [found[landmark] for landmark in range(33)]


def _offsets(stature: float) -> Float[np.ndarray, "33 3"]:
    """`SEEN_AT` of both sides, in metres."""
    offsets = np.zeros((33, 3))
    for landmark, percent in SEEN_AT.items():
        offsets[landmark] = np.array(percent) / 100 * stature
        if landmark:
            offsets[landmark + (3 if landmark < 7 else 1)] = offsets[landmark] * [-1, 1, 1]
    return offsets
