"""Dances: a few key poses, reached on the beat, with a bounce in the knees."""

from __future__ import annotations

import numpy as np

from mcld_anim.synthetic.motion import ARMS_DOWN, Pose

BEATS_PER_MINUTE = 120.0
HOLD = 0.3  # time that a key pose is held, beats
SIDE_SWAP = {"L": "R", "R": "L"}
MIRRORED = frozenset({"turn", "twist", "lean", "head_yaw", "head_roll"})  # angles that change sign in a mirror

KEY_POSES: dict[str, dict[str, float]] = {
    "step": {
        "arm_raise.L": -0.45, "arm_forward.L": 0.55, "elbow.L": 1.35,
        "arm_raise.R": -0.30, "arm_forward.R": -0.15, "elbow.R": 0.9,
        "leg_out.L": 0.28, "leg_out.R": 0.02, "knee.R": 0.35, "leg_forward.R": 0.18, "lean": -0.10,
        "twist": 0.18,
        "head_yaw": 0.12,
    },
    "point": {
        "arm_raise.R": 1.45, "elbow.R": 0.12, "arm_raise.L": -0.22, "arm_forward.L": -0.3, "elbow.L": 1.5,
        "leg_out.R": 0.30, "leg_out.L": 0.10, "knee.L": 0.15, "lean": 0.14, "twist": -0.15, "head_yaw": -0.30,
        "head_pitch": -0.12,
    },
    "wave": {
        "arm_raise.L": 0.95, "elbow.L": 0.75, "arm_raise.R": 0.55, "elbow.R": 0.15, "wrist.R": 0.2,
        "leg_out.L": 0.18, "leg_out.R": 0.18, "knee.L": 0.12, "lean": -0.16, "head_roll": -0.12,
    },
    "cheer": {
        "arm_raise.L": 1.55, "arm_raise.R": 1.55, "elbow.L": 0.45, "elbow.R": 0.45,
        "leg_out.L": 0.14, "leg_out.R": 0.14, "head_pitch": -0.1,
    },
    "groove": {
        "arm_raise.L": -0.35, "arm_raise.R": -0.35, "arm_forward.L": 0.35, "arm_forward.R": 0.35,
        "elbow.L": 1.5, "elbow.R": 1.5, "knee.L": 0.7, "knee.R": 0.7, "leg_forward.L": 0.38,
        "leg_forward.R": 0.38,
        "foot.L": -0.3, "foot.R": -0.3, "leg_out.L": 0.12, "leg_out.R": 0.12, "bend": 0.14, "head_pitch": 0.1,
    },
    "kick": {
        "leg_forward.L": 0.75, "knee.L": 0.45, "leg_out.R": 0.06, "arm_raise.L": -0.1, "arm_forward.L": -0.3,
        "elbow.L": 0.4, "arm_raise.R": 0.15, "arm_forward.R": 0.7, "elbow.R": 0.7, "twist": -0.22,
        "lean": 0.08,
    },
    "swing": {
        "arm_raise.L": ARMS_DOWN + 0.2, "arm_forward.L": 0.8, "elbow.L": 0.3, "arm_raise.R": ARMS_DOWN + 0.2,
        "arm_forward.R": -0.45, "elbow.R": 0.35, "leg_out.L": 0.1, "leg_out.R": 0.16, "turn": 0.35,
        "twist": 0.25,
        "knee.R": 0.2, "head_yaw": -0.25,
    },
}  # fmt: skip
# Names of key poses; "*" marks the mirror image.
ROUTINE = (
    "step",
    "step*",
    "wave",
    "wave*",
    "point",
    "groove",
    "point*",
    "cheer",
    "swing",
    "swing*",
    "kick",
    "kick*",
)


def mirrored(pose: Pose) -> Pose:
    """The pose as seen in a mirror."""
    swapped = {}
    for name, value in pose.angles.items():
        stem, _, side = name.partition(".")
        if side:
            swapped[f"{stem}.{SIDE_SWAP[side]}"] = value
        else:
            swapped[name] = -value if name in MIRRORED else value
    return Pose(swapped)


def key_pose(name: str) -> Pose:
    """A key pose by name, with relaxed fingers; a trailing "*" mirrors it."""
    angles = {"curl.L": 0.35, "curl.R": 0.35, **KEY_POSES[name.rstrip("*")]}
    return mirrored(Pose(angles)) if name.endswith("*") else Pose(angles)


def dance_pose(seconds: float, beats_per_minute: float = BEATS_PER_MINUTE, routine: tuple[str, ...] = ROUTINE) -> Pose:
    """The pose at a time: key pose n of the routine is reached on beat n and held for `HOLD` beats."""
    beat = seconds * beats_per_minute / 60
    number, within = int(beat), beat % 1
    amount = np.clip((within - HOLD) / (1 - HOLD), 0, 1)
    eased = amount * amount * (3 - 2 * amount)
    pose = key_pose(routine[number % len(routine)]).blend(key_pose(routine[(number + 1) % len(routine)]), eased)
    bounce = 0.5 - 0.5 * np.cos(2 * np.pi * beat)  # down between the beats
    sway = np.sin(np.pi * beat)
    angles = dict(pose.angles)
    for side in "LR":
        angles[f"knee.{side}"] = pose[f"knee.{side}"] + 0.22 * bounce
        angles[f"leg_forward.{side}"] = pose[f"leg_forward.{side}"] + 0.11 * bounce
    angles["lean"] = pose["lean"] + 0.05 * sway
    angles["head_pitch"] = pose["head_pitch"] + 0.06 * bounce
    return Pose(angles)


def random_routine(generator: np.random.Generator, length: int = 8) -> tuple[str, ...]:
    """A routine of `length` key poses, never the same one twice in a row."""
    names = [name + mirror for name in KEY_POSES for mirror in ("", "*")]
    routine = [str(generator.choice(names))]
    while len(routine) < length:
        name = str(generator.choice(names))
        if name != routine[-1]:
            routine.append(name)
    return tuple(routine)
