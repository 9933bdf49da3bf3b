"""Poses of the synthetic body: joint angles, random poses and walking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mcld_anim.body.rig import Body, FloatArray, finger_rotations, rotation, rotation_about
from mcld_anim.core.errors import UsageError

SIDED = ("arm_raise", "arm_forward", "elbow", "wrist", "leg_forward", "leg_out", "knee", "foot", "curl")
CENTRAL = ("turn", "twist", "bend", "lean", "head_yaw", "head_pitch", "head_roll", "rise")
ANGLES = frozenset([f"{name}.{side}" for name in SIDED for side in "LR"] + list(CENTRAL))
ARMS_DOWN = -0.62
"""`arm_raise` of hanging arms, radians; 0 is the rest pose, with arms half raised to the sides."""


@dataclass(frozen=True)
class Pose:
    """Joint angles in radians by name; missing ones are 0, the rest pose. `rise` is in metres above the ground.

    Per side ("L", "R"): arm_raise (sideways), arm_forward, elbow, wrist, leg_forward, leg_out, knee, foot,
    curl (fingers). Of the whole body: turn (to the body's left), twist, bend (forward), lean (to the right),
    head_yaw, head_pitch (down), head_roll, rise.
    """

    angles: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.angles) - ANGLES)
        if unknown:
            raise UsageError(f"A pose has no angle {unknown[0]!r}; known angles: {', '.join(sorted(ANGLES))}.")

    def __getitem__(self, name: str) -> float:
        return float(self.angles.get(name, 0.0))

    def blend(self, other: Pose, amount: float) -> Pose:
        """Linear interpolation of the angles: this pose at `amount` 0, the other at 1."""
        names = set(self.angles) | set(other.angles)
        return Pose({name: self[name] * (1 - amount) + other[name] * amount for name in names})

    def changed(self, **central: float) -> Pose:
        """A copy with some of the whole-body angles set."""
        return Pose({**self.angles, **central})


def bone_rotations(body: Body, pose: Pose) -> dict[int, FloatArray]:
    """Rotation matrices (3, 3) by bone index, in the rest pose's axes, for `rig.forward_kinematics`."""
    turned: dict[str, FloatArray] = {"root": rotation("z", pose["turn"])}
    for side, outward in (("L", 1.0), ("R", -1.0)):
        raised, forward = pose[f"arm_raise.{side}"], pose[f"arm_forward.{side}"]
        turned[f"upperarm.{side}"] = rotation("x", -forward) @ rotation("y", -outward * raised)
        turned[f"clavicle.{side}"] = rotation("y", -outward * max(0.0, raised - 0.8) * 0.25)
        forearm = body.joint(f"hand.{side}") - body.joint(f"lowerarm.{side}")
        turned[f"lowerarm.{side}"] = rotation_about(np.cross(forearm, [0, -1.0, 0.25]), pose[f"elbow.{side}"])
        turned[f"hand.{side}"] = rotation("x", pose[f"wrist.{side}"])
        turned[f"upperleg.{side}"] = rotation("x", -pose[f"leg_forward.{side}"]) @ rotation(
            "y", -outward * pose[f"leg_out.{side}"]
        )
        turned[f"lowerleg.{side}"] = rotation("x", pose[f"knee.{side}"])
        turned[f"foot.{side}"] = rotation("x", pose[f"foot.{side}"])
        curl = pose[f"curl.{side}"]
        turned.update(finger_rotations(body, side, (curl / 3, curl, curl, curl, curl)))
    spine = rotation("z", pose["twist"] / 3) @ rotation("x", pose["bend"] / 3) @ rotation("y", pose["lean"] / 3)
    turned.update({"spine04": spine, "spine03": spine, "spine02": spine})
    nod = rotation("z", pose["head_yaw"] / 2) @ rotation("x", pose["head_pitch"] / 2)
    turned.update({"neck02": nod, "head": nod @ rotation("y", pose["head_roll"])})
    return {body.bone(name): matrix for name, matrix in turned.items()}


def relaxed_pose(generator: np.random.Generator) -> Pose:
    """A relaxed standing pose, roughly facing the camera, as in a portrait photo."""
    draw = generator.uniform
    angles: dict[str, float] = {
        "twist": draw(-0.12, 0.12),
        "lean": draw(-0.06, 0.06),
        "head_yaw": draw(-0.25, 0.25),
        "head_pitch": draw(-0.08, 0.12),
        "head_roll": draw(-0.08, 0.08),
        "turn": generator.normal(0, 0.22),
    }
    for side in "LR":
        angles |= {
            f"arm_raise.{side}": draw(-0.68, -0.3),
            f"arm_forward.{side}": draw(-0.15, 0.2),
            f"elbow.{side}": draw(0.0, 0.45),
            f"leg_forward.{side}": draw(-0.08, 0.12),
            f"leg_out.{side}": draw(-0.1, 0.06),
            f"knee.{side}": draw(0.0, 0.15),
            f"curl.{side}": draw(0.1, 0.5),
        }
    if generator.random() < 0.12:  # a hand on the hip
        side = str(generator.choice(["L", "R"]))
        angles |= {f"arm_raise.{side}": -0.15, f"arm_forward.{side}": -0.35, f"elbow.{side}": 1.5}
    return Pose(angles)


def random_pose(generator: np.random.Generator) -> Pose:
    """A random pose of a moving person, without a turn of the whole body."""
    draw = generator.uniform
    angles: dict[str, float] = {}
    for side in "LR":
        kind = generator.random()
        if kind < 0.45:
            raised, forward, elbow = draw(-0.75, -0.2), draw(-0.3, 0.4), draw(-0.1, 0.8)
        elif kind < 0.75:
            raised, forward, elbow = draw(-0.4, 0.9), draw(-0.3, 1.0), draw(0, 1.7)
        else:
            raised, forward, elbow = draw(0.5, 2.0), draw(-0.3, 0.6), draw(-0.1, 1.3)
        angles |= {f"arm_raise.{side}": raised, f"arm_forward.{side}": forward, f"elbow.{side}": elbow}
        if generator.random() < 0.5:
            lifted, out, knee = draw(-0.15, 0.2), draw(-0.1, 0.2), draw(0, 0.25)
        else:
            lifted, out, knee = draw(-0.4, 0.9), draw(-0.05, 0.45), draw(0, 1.2)
        angles |= {f"leg_forward.{side}": lifted, f"leg_out.{side}": out, f"knee.{side}": knee}
        angles |= {
            f"foot.{side}": draw(-0.15, 0.3),
            f"curl.{side}": draw(0, 0.7),
            f"wrist.{side}": draw(-0.3, 0.3),
        }
    if generator.random() < 0.3:
        for name in ("arm_raise", "arm_forward", "elbow"):
            angles[f"{name}.R"] = angles[f"{name}.L"]
    angles |= {
        "twist": draw(-0.5, 0.5),
        "bend": draw(-0.15, 0.35) * generator.random(),
        "lean": draw(-0.25, 0.25),
    }
    angles |= {"head_yaw": draw(-0.6, 0.6), "head_pitch": draw(-0.2, 0.25), "head_roll": draw(-0.2, 0.2)}
    return Pose(angles)


def walking_pose(phase: float) -> Pose:
    """The pose of a walk at `phase`, in cycles: whole numbers give the same pose."""
    angles: dict[str, float] = {"twist": 0.12 * np.sin(2 * np.pi * phase)}
    for side, offset in (("L", 0.0), ("R", 0.5)):
        swing = np.sin(2 * np.pi * (phase + offset))
        lift = max(0.0, np.cos(2 * np.pi * (phase + offset)))
        angles |= {
            f"leg_forward.{side}": 0.42 * swing + 0.12 * lift,
            f"knee.{side}": 0.1 + 0.75 * lift * lift + 0.1 * max(0.0, -swing),
            f"foot.{side}": 0.2 * max(0.0, -swing),
            f"leg_out.{side}": -0.06,
            f"arm_raise.{side}": ARMS_DOWN,
            f"arm_forward.{side}": -0.45 * swing,
            f"elbow.{side}": 0.35 - 0.15 * swing,
            f"curl.{side}": 0.35,
        }
    return Pose(angles)
