"""The body: its asset, rest shapes, forward kinematics and linear blend skinning.

Coordinates are metres: x to the body's left, y to its back (the body looks along -y), z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sparse
from einops import rearrange
from numpy.typing import NDArray

from mcld_anim.core.errors import McldAnimError

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
SkinWeights: TypeAlias = FloatArray | sparse.csr_matrix
"""(V, B), dense or sparse."""

ASSET_PATH = Path(__file__).parent / "assets" / "body.npz"


@dataclass(frozen=True)
class Body:
    """A linear model of rest shapes with skin weights and DensePose charts: V vertices, F triangles, B bones."""

    mean_vertices: FloatArray  # (V, 3) float32, metres
    mean_joints: FloatArray  # (B, 3) float32
    shape_basis: FloatArray  # (components, V, 3) float32, one standard deviation each
    joint_basis: FloatArray  # (components, B, 3) float32
    shape_coefficients: FloatArray  # (samples, components): the shapes that the model was fitted to
    shape_genders: FloatArray  # (samples,) 0 = male, 1 = female
    face_vertices: IntArray  # indices of the vertices that `face_basis` moves
    face_basis: FloatArray  # (components, len(face_vertices), 3) float32, one standard deviation each
    faces: IntArray  # (F, 3) int32, counter-clockwise seen from outside
    weights: FloatArray  # (V, B) float32, rows sum to 1
    bones: tuple[str, ...]
    parents: IntArray  # (B,) index of the parent, -1 for the root
    eyes: NDArray[np.bool_]  # (V,) True on eyeballs
    ears: FloatArray  # (V,) float32 in [0, 1]
    lips: FloatArray  # (V,) float32 in [0, 1]
    part: IntArray  # (F,) uint8, DensePose part 1..24
    uv: FloatArray  # (F, 3, 2) float32, U and V in [0, 1] at each corner

    def bone(self, name: str) -> int:
        return self.bones.index(name)

    def joint(self, name: str) -> FloatArray:
        """Rest position (3,) of a joint in the mean shape."""
        return self.mean_joints[self.bone(name)]

    def weight(self, *stems: str, side: str = "") -> FloatArray:
        """Summed skin weight (V,) of the bones whose names start with one of `stems`, on `side` ("L", "R") if given."""
        chosen = [i for i, name in enumerate(self.bones) if name.startswith(stems) and name.endswith(side)]
        return self.weights[:, chosen].sum(1)

    def rest(self, shape: FloatArray, face: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rest vertices (V, 3) float32 and joints (B, 3) float32 for coefficients in standard deviations."""
        count = len(shape)
        vertices = self.mean_vertices + np.tensordot(shape, self.shape_basis[:count], 1)
        joints = self.mean_joints + np.tensordot(shape, self.joint_basis[:count], 1)
        vertices[self.face_vertices] += np.tensordot(face, self.face_basis[: len(face)], 1)
        return vertices.astype(np.float32), joints.astype(np.float32)


@lru_cache(maxsize=1)
def load_body() -> Body:
    """The body of the package's asset, read once."""
    if not ASSET_PATH.is_file():
        raise McldAnimError(
            f"The synthetic body {ASSET_PATH} is missing; rebuild it with: python -m mcld_anim.body.build"
        )
    with np.load(ASSET_PATH, allow_pickle=False) as asset:
        stored = {name: asset[name] for name in asset.files}
    index, weight = stored["bone_index"].astype(np.int64), stored["bone_weight"].astype(np.float32)
    weights = np.zeros((len(index), len(stored["bone_names"])), np.float32)
    np.add.at(weights, (np.arange(len(index))[:, None], index), weight)
    masks = stored["face_masks"].astype(np.float32) / 255
    return Body(
        mean_vertices=stored["mean_vertices"],
        mean_joints=stored["mean_joints"],
        shape_basis=stored["shape_basis"].astype(np.float32),
        joint_basis=stored["joint_basis"],
        shape_coefficients=stored["shape_coefficients"].astype(np.float32),
        shape_genders=stored["shape_genders"].astype(np.float32),
        face_vertices=stored["face_vertices"].astype(np.int64),
        face_basis=stored["face_basis"].astype(np.float32),
        faces=stored["faces"].astype(np.int32),
        weights=weights / weights.sum(1, keepdims=True),
        bones=tuple(str(name) for name in stored["bone_names"]),
        parents=stored["parents"].astype(np.int64),
        eyes=stored["eyes"] > 0,
        ears=masks[:, 0],
        lips=masks[:, 1],
        part=stored["part"],
        uv=stored["uv"].astype(np.float32),
    )


def forward_kinematics(
    joints: FloatArray, parents: IntArray, rotations: dict[int, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """World transforms x -> A x + t of every bone: A (B, 3, 3), t (B, 3).

    `rotations` holds a rotation matrix (3, 3) per bone index, in the axes of the rest pose; other bones
    follow their parent. Parents come before their children.
    """
    turned = np.zeros((len(parents), 3, 3))
    moved = np.zeros((len(parents), 3))
    for bone, parent in enumerate(parents):
        own = rotations.get(bone)
        if parent < 0:
            turned[bone] = np.eye(3) if own is None else own
            moved[bone] = joints[bone]
        else:
            turned[bone] = turned[parent] if own is None else turned[parent] @ own
            moved[bone] = turned[parent] @ (joints[bone] - joints[parent]) + moved[parent]
    return turned, moved - np.einsum("bij,bj->bi", turned, joints)


def skin(vertices: FloatArray, weights: SkinWeights, turned: FloatArray, shift: FloatArray) -> FloatArray:
    """Linear blend skinning of rest `vertices` (V, 3) with `weights` (V, B); returns posed vertices (V, 3) float32.

    The bone transforms `turned` (B, 3, 3), `shift` (B, 3) are those of `forward_kinematics`.
    """
    linear, moved = skin_transforms(weights, turned, shift)
    posed = np.einsum("vij,vj->vi", linear, vertices)
    return (posed + moved).astype(np.float32)


def skin_transforms(weights: SkinWeights, turned: FloatArray, shift: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The blended transform of every vertex, as in `skin`: x -> A x + t with A (V, 3, 3) and t (V, 3)."""
    flat = rearrange(turned, "bone row column -> bone (row column)")
    blended = weights @ np.concatenate([flat, shift], 1).astype(np.float32)
    return rearrange(blended[:, :9], "vertex (row column) -> vertex row column", row=3), blended[:, 9:]


def incidence(faces: IntArray, vertices: int) -> sparse.csr_matrix:
    """Sparse (vertices, faces) matrix with a one where a triangle has a vertex."""
    rows = faces.T.ravel()
    columns = np.tile(np.arange(len(faces)), 3)
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=(vertices, len(faces)))


def vertex_normals(vertices: FloatArray, faces: IntArray, touching: sparse.csr_matrix) -> FloatArray:
    """Unit vertex normals (V, 3) float32, weighted by triangle area. `touching` is `incidence(faces, V)`."""
    corner = vertices[faces]
    normals = touching @ np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    return (normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)).astype(np.float32)


def rotation(axis: str, angle: float) -> FloatArray:
    """Rotation matrix (3, 3) about "x", "y" or "z" by `angle` radians."""
    c, s = np.cos(angle), np.sin(angle)
    if axis == "x":
        return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    if axis == "y":
        return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def rotation_about(axis: FloatArray, angle: float) -> FloatArray:
    """Rotation matrix (3, 3) about any `axis` (3,) by `angle` radians (Rodrigues)."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def finger_rotations(body: Body, side: str, bends: Sequence[float]) -> dict[str, FloatArray]:
    """Rotations that bend the five fingers, from the thumb, towards the palm: each by its angle at every joint."""
    across = body.joint(f"finger2-1.{side}") - body.joint(f"finger5-1.{side}")
    along = body.joint(f"finger3-1.{side}") - body.joint(f"hand.{side}")
    dorsal = np.cross(along, across)
    outward = 1.0 if side == "L" else -1.0
    towards_palm = 1.0 if dorsal[2] + dorsal[0] * outward > 0 else -1.0
    return {
        f"finger{finger}-{segment}.{side}": rotation_about(across, -towards_palm * angle)
        for finger, angle in enumerate(bends, 1)
        for segment in range(1, 4)
    }
