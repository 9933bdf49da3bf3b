"""Joint rotations in closed form from the world landmarks of a clip.

A limb's world rotation is frame(bone, hinge) frame(rest bone, rest hinge)^T, where frame(a, b) has the columns a, b
made square to a, and a x b. The hinge of elbow and knee is the normal of the plane in which the limb bends; where it is
straight, the arm takes the least twist against the chest, and the leg the direction of foot and hips, or of the hips
alone where the network does not see the foot's direction.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from mcld_anim.body.skeleton import CONTROLS

Vectors = Float[np.ndarray, "... 3"]
Rotations = Float[np.ndarray, "... 3 3"]

MOST_WRIST = 0.9
"""Largest turn of a hand against its forearm and of a foot against its shin, in radians."""
HINGE_SMOOTHING = 1.0
"""Standard deviation of the smoothing of hinges over time, in frames."""
STRAIGHT_ARM, STRAIGHT_LEG, HIPS = 0.15, 0.35, 0.2
"""Weights of the fallback hinges against the sine of the limb's bend: the untwisted arm, the foot, and the hips."""
DOUBTED, BELIEVED = 0.4, 0.6
"""Seen lengths of a foot, as fractions of its own, up to which its direction is noise, and from which it is believed.
BlazePose sees a real foot from the front at 0.62 to 0.8; from behind, where its toes are hidden, at 0.05 to 0.5."""
NOSE, EARS, EYES = 0, (7, 8), (2, 5)


def inverse_kinematics(
    world: Float[np.ndarray, "frames 33 3"], rest: Float[np.ndarray, "33 3"]
) -> Float[np.ndarray, "frames 17 3 3"]:
    """Rotations of the controls in the axes of the rest pose; `world` and `rest` in metres, x right, y away, z up."""
    frames = len(world)
    found = {name: np.broadcast_to(np.eye(3), (frames, 3, 3)).copy() for name in CONTROLS}
    root = _trunk(world, 23) @ _back(_trunk(rest, 23))
    chest = _trunk(world, 11) @ _back(_trunk(rest, 11))
    head = _face(world) @ _back(_face(rest))
    found["root"] = root
    found["spine"] = _power(_back(root) @ chest, 1 / 3)
    found["neck"] = _power(_back(chest) @ head, 1 / 2)
    for right, side in enumerate("LR"):
        for name, rotation in (_arm(world, rest, chest, right) | _leg(world, rest, root, right)).items():
            found[f"{name}.{side}"] = rotation
    return np.stack([found[name] for name in CONTROLS], 1)


def _arm(world: np.ndarray, rest: np.ndarray, chest: Rotations, right: int) -> dict[str, Rotations]:
    """Upper arm, forearm and hand of one side."""
    upper, lower, upper_rest, lower_rest = _two_bones(world, rest, 11 + right)
    hinge_rest = _unit(np.cross(upper_rest, lower_rest))
    untwisted = chest @ _swing(upper_rest, np.einsum("fji,fj->fi", chest, upper))
    bend = np.einsum("fji,fj->fi", untwisted, np.cross(_unit(upper), _unit(lower)))
    hinge = np.einsum("fij,fj->fi", untwisted, _smooth(bend) + STRAIGHT_ARM * hinge_rest)
    turned = _frame(upper, hinge) @ _back(_frame(upper_rest, hinge_rest))
    forearm = _frame(lower, np.einsum("fij,j->fi", turned, hinge_rest)) @ _back(_frame(lower_rest, hinge_rest))
    palm = _palm(world, right) @ _back(_palm(rest, right))
    forearm = forearm @ _half_twist(_back(forearm) @ palm, lower_rest)
    hand = _limited(_back(forearm) @ palm)
    return {"upperarm": _back(chest) @ turned, "lowerarm": _back(turned) @ forearm, "hand": hand}


def _leg(world: np.ndarray, rest: np.ndarray, root: Rotations, right: int) -> dict[str, Rotations]:
    """Thigh, shin and foot of one side."""
    upper, lower, upper_rest, lower_rest = _two_bones(world, rest, 23 + right)
    sole, sole_rest = (points[..., 31 + right, :] - points[..., 29 + right, :] for points in (world, rest))
    certain, straight_rest = _certain(sole, sole_rest), np.cross(_unit(sole_rest), _unit(lower_rest))
    bend, straight = np.cross(_unit(upper), _unit(lower)), np.cross(_unit(sole), _unit(lower))
    straight = certain * straight + (1 - certain) * (root @ straight_rest)
    share = STRAIGHT_LEG * (1 - np.linalg.norm(bend, axis=-1, keepdims=True))
    hinge = _smooth(bend + share * straight + HIPS * root[:, :, 0])
    hinge_rest = np.cross(_unit(upper_rest), _unit(lower_rest)) + STRAIGHT_LEG * straight_rest + [HIPS, 0, 0]
    thigh = _frame(upper, hinge) @ _back(_frame(upper_rest, hinge_rest))
    shin = _frame(lower, hinge) @ _back(_frame(lower_rest, hinge_rest))
    foot = _limited(_back(shin) @ _foot(world, right) @ _back(_foot(rest, right)), certain)
    return {"upperleg": _back(root) @ thigh, "lowerleg": _back(thigh) @ shin, "foot": foot}


def _two_bones(world: np.ndarray, rest: np.ndarray, first: int) -> tuple[Vectors, Vectors, Vectors, Vectors]:
    """Upper and lower bone of a limb whose joints are the landmarks `first`, + 2 and + 4, posed and at rest."""
    upper, upper_rest = (points[..., first + 2, :] - points[..., first, :] for points in (world, rest))
    lower, lower_rest = (points[..., first + 4, :] - points[..., first + 2, :] for points in (world, rest))
    return upper, lower, upper_rest, lower_rest


def _trunk(points: np.ndarray, left: int) -> Rotations:
    """The frame of the trunk with the line between two landmarks, `left` and the next, across."""
    up = _middle(points, 11, 12) - _middle(points, 23, 24)
    return _frame(points[..., left, :] - points[..., left + 1, :], up)


def _face(points: np.ndarray) -> Rotations:
    across = points[..., 7, :] - points[..., 8, :] + points[..., 3, :] - points[..., 6, :]
    forward = (points[..., NOSE, :] + _middle(points, *EYES)) / 2 - _middle(points, *EARS)
    return _frame(across, forward)


def _palm(points: np.ndarray, right: int) -> Rotations:
    along = _middle(points, 17 + right, 19 + right) - points[..., 15 + right, :]
    return _frame(along, points[..., 19 + right, :] - points[..., 17 + right, :])


def _foot(points: np.ndarray, right: int) -> Rotations:
    along = points[..., 31 + right, :] - points[..., 29 + right, :]
    return _frame(along, points[..., 27 + right, :] - _middle(points, 29 + right, 31 + right))


def _half_twist(relative: Rotations, axis: Vectors) -> Rotations:
    """Half of the hand's twist about the forearm, which the forearm's bones carry."""
    x, y, z, w = np.moveaxis(Rotation.from_matrix(relative).as_quat(), -1, 0)
    along = _unit(axis)
    angle = 2 * np.arctan2(x * along[0] + y * along[1] + z * along[2], w)
    angle = ((angle + np.pi) % (2 * np.pi) - np.pi).clip(-1.6, 1.6) / 2
    return Rotation.from_rotvec(along * angle[:, None]).as_matrix()


def _certain(foot: Vectors, rest: Vectors) -> Float[np.ndarray, "... 1"]:
    """How far the direction of a foot is to be believed, 0..1."""
    length = np.linalg.norm(foot, axis=-1, keepdims=True) / np.linalg.norm(rest)
    return np.asarray(((length - DOUBTED) / (BELIEVED - DOUBTED)).clip(0, 1))


def _limited(relative: Rotations, share: float | Float[np.ndarray, "... 1"] = 1.0) -> Rotations:
    """A share of each rotation about its own axis, of at most `MOST_WRIST`."""
    vector = Rotation.from_matrix(relative).as_rotvec() * share
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    return Rotation.from_rotvec(vector * np.minimum(1, MOST_WRIST / np.maximum(angle, 1e-6))).as_matrix()


def _swing(start: Vectors, end: Vectors) -> Rotations:
    """The smallest rotations that turn one direction into others."""
    start, end = np.broadcast_arrays(_unit(start), _unit(end))
    axis = np.cross(start, end)
    sine = np.linalg.norm(axis, axis=-1, keepdims=True)
    angle = np.arctan2(sine, (start * end).sum(-1, keepdims=True))
    return Rotation.from_rotvec(axis / np.maximum(sine, 1e-9) * angle).as_matrix()


def _power(rotations: Rotations, share: float) -> Rotations:
    """A share of each rotation about its own axis."""
    return Rotation.from_rotvec(Rotation.from_matrix(rotations).as_rotvec() * share).as_matrix()


def _frame(first: Vectors, second: Vectors) -> Rotations:
    """Rotations whose columns are `first`, `second` made square to it, and their cross product."""
    first = _unit(first)
    second = _unit(second - (first * second).sum(-1, keepdims=True) * first)
    return np.stack([first, second, np.cross(first, second)], -1)


def _middle(points: np.ndarray, one: int, other: int) -> Vectors:
    return (points[..., one, :] + points[..., other, :]) / 2


def _smooth(values: np.ndarray) -> np.ndarray:
    return values if len(values) < 3 else gaussian_filter1d(values, HINGE_SMOOTHING, axis=0, mode="nearest")


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)


def _back(rotations: Rotations) -> Rotations:
    return np.swapaxes(rotations, -1, -2)
