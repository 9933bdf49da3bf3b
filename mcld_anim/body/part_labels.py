"""DensePose part (1 to 24) of each triangle of the body; the labelling is for build time only.

DensePose's numbering (Güler et al., "DensePose: Dense Human Pose Estimation In The Wild", CVPR 2018): 1, 2
torso back, front; 3, 4 right, left hand; 5, 6 left, right foot; then right, left of each: 7, 8 upper leg
back; 9, 10 upper leg front; 11, 12 lower leg back; 13, 14 lower leg front; 15, 16 upper arm front (left,
right); 17, 18 upper arm back (left, right); 19, 20 lower arm front (left, right); 21, 22 lower arm back
(left, right); 23, 24 head right, left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from mcld_anim.body.rig import FloatArray, IntArray

TORSO_BACK, TORSO_FRONT = 1, 2
HEAD_PART = {"R": 23, "L": 24}
HAND_PART = {"R": 3, "L": 4}
FOOT_PART = {"L": 5, "R": 6}
UPPER_LEG_PARTS = {"R": (7, 9), "L": (8, 10)}  # (back, front)
LOWER_LEG_PARTS = {"R": (11, 13), "L": (12, 14)}
UPPER_ARM_PARTS = {"L": (17, 15), "R": (18, 16)}
LOWER_ARM_PARTS = {"L": (21, 19), "R": (22, 20)}
HIP_LINE = 0.24  # height at which the official torso ends at the sides, as a fraction of crotch to neck
BACK = np.array([0.0, 1.0, 0.0])


class Skeleton:
    """Rest joints and skin weights by bone name."""

    def __init__(self, vertices: FloatArray, weights: FloatArray, joints: FloatArray, bones: tuple[str, ...]) -> None:
        self.vertices, self.weights, self.joints, self.bones = vertices, weights, joints, bones

    def joint(self, bone: str) -> FloatArray:
        return self.joints[self.bones.index(bone)]

    def weight(self, *stems: str, side: str = "") -> FloatArray:
        """Summed skin weight (vertices,) of the bones whose names start with one of `stems`, on `side` if given."""
        chosen = [i for i, bone in enumerate(self.bones) if bone.startswith(stems) and bone.endswith(side)]
        return self.weights[:, chosen].sum(1)


def face_groups(skeleton: Skeleton, faces: IntArray) -> NDArray[np.str_]:
    """The body segment with the largest skin weight, per triangle: "head", "torso", "upperarm.L", ..."""
    weights = {
        "head": skeleton.weight("neck02", "neck03", "head", "eye"),
        "torso": skeleton.weight("root", "spine", "clavicle", "neck01"),
    }
    for side in "LR":
        weights[f"upperarm.{side}"] = skeleton.weight("upperarm", side=side)
        weights[f"lowerarm.{side}"] = skeleton.weight("lowerarm", side=side)
        weights[f"hand.{side}"] = skeleton.weight("hand", "finger", side=side)
        weights[f"upperleg.{side}"] = skeleton.weight("upperleg", side=side)
        weights[f"lowerleg.{side}"] = skeleton.weight("lowerleg", side=side)
        weights[f"foot.{side}"] = skeleton.weight("foot", side=side)
    table = np.stack(list(weights.values()), 1)
    return np.array(list(weights))[table[faces].sum(1).argmax(1)]


def unit(vector: FloatArray) -> FloatArray:
    return vector / np.linalg.norm(vector)


def beyond_axis(
    points: FloatArray, start: FloatArray, end: FloatArray, first: FloatArray, last: FloatArray
) -> FloatArray:
    """Whether each point is on the side of the limb's axis that turns from `first` (at start) to `last` (at end)."""
    axis, length = unit(end - start), float(np.linalg.norm(end - start))
    offset = points - start
    along = np.clip(offset @ axis / length, 0, 1)[:, None]
    across = offset - (offset @ axis)[:, None] * axis
    return (across * ((1 - along) * first + along * last)).sum(1) > 0


def hand_frame(skeleton: Skeleton, side: str) -> tuple[FloatArray, FloatArray]:
    """Directions towards the thumb and out of the back of the hand, perpendicular to the forearm, for its split."""
    forearm = unit(skeleton.joint(f"hand.{side}") - skeleton.joint(f"lowerarm.{side}"))
    thumb: FloatArray = skeleton.joint(f"finger1-2.{side}") - skeleton.joint(f"finger5-1.{side}")
    thumb = unit(thumb - (thumb @ forearm) * forearm)
    dorsal: FloatArray = np.cross(forearm, thumb)
    outward = 1.0 if side == "L" else -1.0
    return thumb, dorsal if dorsal[2] + dorsal[0] * outward > 0 else -dorsal


def torso_split(
    skeleton: Skeleton, faces: IntArray, groups: NDArray[np.str_]
) -> tuple[FloatArray, FloatArray, float, float]:
    """Heights, the y that separates front from back at each, and the heights of the crotch and of the hip line."""
    vertices = skeleton.vertices
    middle = (np.abs(vertices[:, 0]) < 0.004) & (vertices[:, 2] > -0.2) & (vertices[:, 2] < 0.1)
    crotch = float(vertices[middle, 2].min())
    hip = crotch + HIP_LINE * float(skeleton.joint("neck01")[2] - crotch)
    torso = np.unique(faces[groups == "torso"])
    heights = np.linspace(hip, skeleton.joint("upperarm.L")[2] + 0.03, 12)
    split = []
    for height in heights:
        ring = torso[np.abs(vertices[torso, 2] - height) < 0.03]
        outer = np.abs(vertices[ring, 0])
        split.append(vertices[ring[outer > np.percentile(outer, 85)], 1].mean())
    smooth = np.convolve(np.pad(np.array(split), 1, "edge"), [0.25, 0.5, 0.25], "valid")
    return heights, smooth, crotch, hip


def label_faces(skeleton: Skeleton, faces: IntArray) -> IntArray:
    """The part 1..24 of every triangle (faces,)."""
    groups = face_groups(skeleton, faces)
    centre = skeleton.vertices[faces].mean(1)
    heights, split, crotch, hip = torso_split(skeleton, faces, groups)
    shoulder, neck = skeleton.joint("upperarm.L")[2], skeleton.joint("neck01")[1]
    middle = np.interp(centre[:, 2], heights, split)
    near_neck = np.clip((0.16 - np.abs(centre[:, 0])) / 0.10, 0, 1) * (centre[:, 2] > shoulder - 0.02)
    front = centre[:, 1] < middle * (1 - near_neck) + neck * near_neck
    ring = np.abs(skeleton.vertices[np.abs(skeleton.vertices[:, 2] - hip) < 0.02][:, 0])
    half_width = np.percentile(ring[ring < 0.3], 98)
    # In front, the torso ends in a V from the hips to the crotch; behind, at the hip line.
    lower_edge = np.where(front, crotch + (hip - crotch) * np.clip(np.abs(centre[:, 0]) / half_width, 0, 1), hip)
    trunk = np.isin(groups, ["torso", "upperleg.L", "upperleg.R"])
    thigh = trunk & (centre[:, 2] < lower_edge)
    labels = np.zeros(len(faces), np.int64)
    labels[trunk & ~thigh] = np.where(front[trunk & ~thigh], TORSO_FRONT, TORSO_BACK)
    for side, outward in (("L", 1.0), ("R", -1.0)):
        upper = thigh & (centre[:, 0] * outward > 0)
        hip_joint, knee, ankle = (skeleton.joint(f"{bone}.{side}") for bone in ("upperleg", "lowerleg", "foot"))
        behind = beyond_axis(centre[upper], hip_joint, knee, BACK, BACK)
        above_crotch = centre[upper, 2] > crotch - 0.02
        behind = np.where(above_crotch, centre[upper, 1] > np.interp(centre[upper, 2], heights, split), behind)
        labels[upper] = np.where(behind, *UPPER_LEG_PARTS[side])
        lower = groups == f"lowerleg.{side}"
        labels[lower] = np.where(beyond_axis(centre[lower], knee, ankle, BACK, BACK), *LOWER_LEG_PARTS[side])
        label_arm(labels, skeleton, groups, centre, side)
        labels[groups == f"hand.{side}"] = HAND_PART[side]
        labels[groups == f"foot.{side}"] = FOOT_PART[side]
    head = groups == "head"
    labels[head] = np.where(centre[head, 0] < 0, HEAD_PART["R"], HEAD_PART["L"])
    return tidy(labels, faces)


def label_arm(labels: IntArray, skeleton: Skeleton, groups: NDArray[np.str_], centre: FloatArray, side: str) -> None:
    """Label back and front of one arm's two segments, in place; the dividing direction turns towards the back of the
    hand."""
    shoulder, elbow, wrist = (skeleton.joint(f"{bone}.{side}") for bone in ("upperarm", "lowerarm", "hand"))
    _, dorsal = hand_frame(skeleton, side)
    axis = unit(elbow - shoulder)
    back = unit(BACK - (BACK @ axis) * axis)
    between = unit(back + dorsal)
    upper, lower = groups == f"upperarm.{side}", groups == f"lowerarm.{side}"
    labels[upper] = np.where(beyond_axis(centre[upper], shoulder, elbow, back, between), *UPPER_ARM_PARTS[side])
    labels[lower] = np.where(beyond_axis(centre[lower], elbow, wrist, between, dorsal), *LOWER_ARM_PARTS[side])


def half_edges(faces: IntArray) -> dict[tuple[int, int], int]:
    """Map from directed edge (a, b) to its triangle."""
    return {(int(f[k]), int(f[(k + 1) % 3])): i for i, f in enumerate(faces) for k in range(3)}


def face_neighbours(faces: IntArray) -> IntArray:
    """The triangle across each edge, (faces, 3); -1 for none."""
    owner = half_edges(faces)
    return np.array([[owner.get((int(f[(k + 1) % 3]), int(f[k])), -1) for k in range(3)] for f in faces])


def tidy(labels: IntArray, faces: IntArray, rounds: int = 6) -> IntArray:
    """Make every part one connected component and smooth its border: stray triangles join the part around them."""
    labels = labels.copy()
    neighbours = face_neighbours(faces)
    for _ in range(rounds):
        for part in range(1, 25):
            inside = np.flatnonzero(labels == part)
            position = np.full(len(faces), -1)
            position[inside] = np.arange(len(inside))
            pairs = [(position[i], position[j]) for i in inside for j in neighbours[i] if j >= 0 and position[j] >= 0]
            rows, columns = np.array(pairs).T
            graph = coo_matrix((np.ones(len(pairs)), (rows, columns)), shape=(len(inside),) * 2)
            pieces, piece = connected_components(graph, directed=False)
            if pieces == 1:
                continue
            for i in inside[piece != np.bincount(piece).argmax()]:
                around = [int(labels[j]) for j in neighbours[i] if j >= 0 and labels[j] != part]
                if around:
                    labels[i] = max(set(around), key=around.count)
        for i in range(len(faces)):
            around = [int(labels[j]) for j in neighbours[i] if j >= 0]
            for other in set(around):
                if other != labels[i] and around.count(other) >= 2:
                    labels[i] = other
                    break
    return labels
