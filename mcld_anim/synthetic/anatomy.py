"""Anatomical coordinates of every body vertex, in which clothes, hair and faces are painted.

They are the mean body's rest coordinates, so that a neckline or a hairline falls on the same anatomy for every shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mcld_anim.body.rig import Body, FloatArray, load_body

# Columns of a field (n, 11).
X, Y, Z, ARM, LEG, FOOT, HAND, HEAD, EYE, EAR, LIP = range(11)
FIELD_COLUMNS = 11
OFF_LIMB = -0.4  # ARM or LEG of a vertex off that limb


@dataclass(frozen=True)
class Anatomy:
    """Per-vertex coordinates, and heights and positions of landmarks, in metres.

    `field` (V, 11) float32: x, y, z in metres; ARM and LEG, 0 at the limb's root, 1 at elbow or knee, 2 at wrist or
    ankle; weights of foot, hand and head; 1 on eyeballs; ear and lip masks.
    """

    field: FloatArray
    eye: FloatArray  # (3,) centre of the left eyeball; the right one is at -x
    nose: FloatArray  # (3,) tip of the nose
    mouth: float  # height of the line between the lips
    ear_line: float  # y that separates the face from the back of the head
    neck: float  # height of the joint, as the next two
    shoulder: float
    crotch: float
    sole: float
    top: float


def limb_coordinate(body: Body, side: str, bones: tuple[str, str, str], lower: FloatArray) -> FloatArray:
    """Coordinate (V,) along a limb: 0 at the first joint, 1 at the second, 2 at the third, extrapolated beyond."""
    first, second, third = (body.joint(f"{bone}.{side}") for bone in bones)
    upper_axis, lower_axis = second - first, third - second
    along_upper = (body.mean_vertices - first) @ upper_axis / (upper_axis @ upper_axis)
    along_lower = 1 + (body.mean_vertices - second) @ lower_axis / (lower_axis @ lower_axis)
    return along_upper * (1 - lower) + along_lower * lower


@lru_cache(maxsize=1)
def anatomy() -> Anatomy:
    """The coordinates of the body asset, computed once."""
    body = load_body()
    vertices = body.mean_vertices
    arm, leg = np.full(len(vertices), OFF_LIMB), np.full(len(vertices), OFF_LIMB)
    for side in "LR":
        on_arm = body.weight("upperarm", "lowerarm", "hand", "finger", side=side) > 0.4
        lower = body.weight("lowerarm", "hand", "finger", side=side)
        arm[on_arm] = limb_coordinate(body, side, ("upperarm", "lowerarm", "hand"), lower)[on_arm]
        on_leg = body.weight("upperleg", "lowerleg", "foot", side=side) > 0.3
        lower = body.weight("lowerleg", "foot", side=side)
        leg[on_leg] = limb_coordinate(body, side, ("upperleg", "lowerleg", "foot"), lower)[on_leg]
    head = body.weight("neck02", "neck03", "head", "eye")
    columns = [*vertices.T, arm, leg, body.weight("foot"), body.weight("hand", "finger"), head, body.eyes]
    field = np.stack([*columns, body.ears, body.lips], 1).astype(np.float32)
    skin = ~body.eyes
    on_head = skin & (head > 0.5)
    middle = on_head & (np.abs(vertices[:, 0]) < 0.004) & (vertices[:, 1] < body.joint("head")[1] - 0.05)
    nose = vertices[on_head][vertices[on_head, 1].argmin()]
    # The lips meet where the profile between them lies furthest back.
    between = vertices[middle & (body.lips > 0.25)]
    mouth = float(between[:, 2].mean())
    return Anatomy(
        field=field,
        eye=body.joint("eye.L"),
        nose=nose,
        mouth=mouth,
        ear_line=float(body.joint("head")[1] - 0.02),
        neck=float(body.joint("neck01")[2]),
        shoulder=float(body.joint("upperarm.L")[2]),
        crotch=float(body.joint("upperleg.L")[2]),
        sole=float(vertices[:, 2].min()),
        top=float(vertices[on_head, 2].max()),
    )
