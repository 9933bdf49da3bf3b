"""Hanging parts: long hair and skirts, as separate surfaces that follow the bones.

They appear in the picture only. As in real annotations, the IUV shows the body: hair over the back is labelled as back,
and cloth beside the legs as background.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from mcld_anim.body.rig import Body, FloatArray, IntArray
from mcld_anim.synthetic.anatomy import anatomy
from mcld_anim.synthetic.identity import Identity

BODY, HAIR, CLOTH = 0, 1, 2  # kinds of surface


@dataclass(frozen=True)
class HangingSurface:
    """A hanging part at rest."""

    vertices: FloatArray  # (n, 3), metres
    weights: FloatArray  # (n, bones) skin weights
    faces: IntArray  # (m, 3), two-sided
    kind: int  # HAIR or CLOTH
    material: FloatArray  # (n, 2): coordinates across and up the material, metres


def ramp(low: float | np.floating, high: float | np.floating, value: FloatArray) -> FloatArray:
    """0 up to `low`, 1 from `high` on, linear in between; falls instead of rising if `low` > `high`."""
    return np.clip((value - low) / (high - low), 0, 1)


def grid_faces(rows: int, columns: int, closed: bool) -> IntArray:
    """Triangles of a grid of points in both windings, visible from both sides."""
    last = columns if closed else columns - 1
    row, column = (part.ravel() for part in np.mgrid[: rows - 1, :last])
    following = (column + 1) % columns
    a, b = row * columns + column, row * columns + following
    c, d = a + columns, b + columns
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([b, d, c], 1)])
    return np.concatenate([faces, faces[:, ::-1]]).astype(np.int32)


def hanging_parts(body: Body, identity: Identity, vertices: FloatArray, joints: FloatArray) -> list[HangingSurface]:
    """The hanging parts of a person with rest `vertices` (V, 3) and `joints` (B, 3)."""
    parts = []
    if identity.hair.style in ("bob", "long"):
        parts.append(hair_curtain(body, identity, vertices, joints))
    if identity.hair.style == "ponytail":
        parts.append(ponytail(body, identity, vertices, joints))
    if identity.hair.style == "bun":
        parts.append(bun(body, identity, vertices, joints))
    if identity.outfit.kind != "trousers":
        parts.append(skirt(body, identity, vertices, joints))
    return parts


def head_weights(body: Body, height: FloatArray, chin: float, shoulder: float) -> FloatArray:
    """Skin weights (n, bones) of hair: the head's down to the chin, the chest's from the shoulders down."""
    free = ramp(chin, shoulder - 0.02, height)
    weights = np.zeros((len(height), len(body.bones)), np.float32)
    weights[:, body.bone("head")] = 1 - free
    weights[:, body.bone("spine01")] = free
    return weights


def hair_curtain(body: Body, identity: Identity, vertices: FloatArray, joints: FloatArray) -> HangingSurface:
    """Hair around the back and sides of the head, from under the cap down behind the shoulders."""
    hair = identity.hair
    eye = joints[body.bone("eye.L")]
    field = anatomy().field
    scalp = vertices[(field[:, 7] > 0.6) & (vertices[:, 2] > eye[2] - 0.05)]
    shoulder = float(joints[body.bone("upperarm.L")][2])
    middle = float(joints[body.bone("head")][1]) - 0.03
    rows, columns = 26, 41
    height = np.linspace(eye[2] + 0.085, eye[2] - hair.length, rows)[:, None]
    angle = np.linspace(-1, 1, columns)[None] * np.radians(116)
    width = np.abs(scalp[:, 0]).max() + 0.005
    depth = scalp[:, 1].max() - middle + 0.002
    # The scalp narrows upwards: the top rows tuck in under the cap.
    tuck = np.sqrt(np.clip(1 - (np.clip(height - eye[2] - 0.005, 0, None) / 0.125) ** 2, 0, 1))
    falling = ramp(eye[2] - 0.03, eye[2] - 0.3, height)
    x = width * np.sin(angle) * tuck * (1 - 0.12 * falling) * (1 + 0.012 * np.sin(angle * 23))
    y = middle + np.where(np.cos(angle) > 0, depth, 0.05) * np.cos(angle) * tuck * (1 - 0.25 * falling)
    # Below the chin, hair lies behind neck, shoulders and back.
    back = (field[:, 3] < 0.1) & (field[:, 7] < 0.5) & (vertices[:, 2] > shoulder - 0.5)
    nearest = cKDTree(vertices[back][:, [0, 2]]).query(
        np.stack([x.ravel(), np.broadcast_to(height, x.shape).ravel()], 1), 12
    )
    behind = vertices[back][nearest[1], 1].max(1).reshape(x.shape) + 0.016
    behind = np.minimum(behind, vertices[back, 1].max() + 0.02)
    lying = ramp(shoulder + 0.11, shoulder + 0.03, np.broadcast_to(height, x.shape))
    y = np.where(lying > 0, y + lying * np.maximum(behind - y, 0), y)
    ends = 0.012 * np.sin(angle * 17 + identity.seed) * ramp(0.8, 1.0, np.linspace(0, 1, rows))[:, None]
    points = np.stack([x, y, np.broadcast_to(height, x.shape) + ends], -1).reshape(-1, 3)
    return HangingSurface(
        points.astype(np.float32),
        head_weights(body, points[:, 2], float(eye[2]) - 0.12, shoulder),
        grid_faces(rows, columns, closed=False),
        HAIR,
        np.stack([np.broadcast_to(angle * 0.1, x.shape).ravel(), hair_height(points, eye)], 1).astype(np.float32),
    )


def ponytail(body: Body, identity: Identity, vertices: FloatArray, joints: FloatArray) -> HangingSurface:
    """A tapering tail from the back of the head."""
    eye = joints[body.bone("eye.L")]
    head = vertices[(anatomy().field[:, 7] > 0.6) & (np.abs(vertices[:, 2] - eye[2] - 0.04) < 0.02)]
    rows, columns = 14, 12
    along = np.linspace(0, 1, rows)[:, None]
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    thick = 0.034 * np.sin(np.pi * np.clip(along * 0.86 + 0.13, 0, 1)) ** 0.6 + 0.002
    length = 0.7 * identity.hair.length
    centre_y = head[:, 1].max() + 0.055 * np.sin(np.pi * np.clip(along * 1.6, 0, 0.62)) - 0.008
    centre_z = eye[2] + 0.045 + 0.03 * np.sin(np.pi * np.clip(along * 3, 0, 1)) - length * along**1.3
    x = 1.3 * thick * np.cos(angle)
    y, z = centre_y + thick * np.sin(angle), centre_z + 0.4 * thick * np.sin(angle)
    points = np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
    weights = np.zeros((len(points), len(body.bones)), np.float32)
    weights[:, body.bone("head")] = 1
    return HangingSurface(
        points,
        weights,
        grid_faces(rows, columns, closed=True),
        HAIR,
        np.stack([np.broadcast_to(angle * 0.03, x.shape).ravel(), hair_height(points, eye)], 1).astype(np.float32),
    )


def bun(body: Body, identity: Identity, vertices: FloatArray, joints: FloatArray) -> HangingSurface:
    """A knot of hair at the back of the head, above the middle."""
    eye = joints[body.bone("eye.L")]
    height = eye[2] + 0.035 + 0.5 * identity.hair.line
    head = vertices[(anatomy().field[:, 7] > 0.6) & (np.abs(vertices[:, 2] - height) < 0.02)]
    rows, columns = 11, 18
    polar = np.linspace(0, np.pi, rows)[:, None]
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    size = 0.030 + 0.6 * identity.hair.volume
    x = size * np.sin(polar) * np.cos(angle)
    z = height + 0.9 * size * np.sin(polar) * np.sin(angle)
    y = np.broadcast_to(head[:, 1].max() + 0.3 * size + 0.85 * size * np.cos(polar), x.shape)
    points = np.stack([x, y, z], -1).reshape(-1, 3).astype(np.float32)
    weights = np.zeros((len(points), len(body.bones)), np.float32)
    weights[:, body.bone("head")] = 1
    swirl = (polar + 0.5 * angle) * size  # strands wind around the knot
    material = np.stack([swirl.ravel(), np.broadcast_to(0.1 * polar, x.shape).ravel()], 1).astype(np.float32)
    return HangingSurface(points, weights, grid_faces(rows, columns, closed=True), HAIR, material)


def hair_height(points: FloatArray, eye: FloatArray) -> FloatArray:
    """Heights (n,) in the coordinates of the hair on the head, so that the sheen continues."""
    return points[:, 2] - eye[2] + anatomy().eye[2]


def skirt(body: Body, identity: Identity, vertices: FloatArray, joints: FloatArray) -> HangingSurface:
    """A flared skirt from waist to hem: as wide as the body at the waist, at least as wide as the hips below."""
    outfit, field = identity.outfit, anatomy().field
    hip, knee, ankle = (joints[body.bone(f"{name}.L")] for name in ("upperleg", "lowerleg", "foot"))
    hem = float(np.interp(outfit.hem, [0, 1, 2], [hip[2], knee[2], ankle[2]]))
    scale = (joints[body.bone("neck01")][2] - hip[2]) / (anatomy().neck - anatomy().crotch)
    top = float(hip[2]) + (outfit.waist + 0.02) * scale
    rows, columns = 22, 56
    heights = np.linspace(top, hem, rows)
    trunk = vertices[(field[:, 3] < -0.3) & (field[:, 5] < 0.5)]
    extents = []
    for height in heights:
        ring = trunk[np.abs(trunk[:, 2] - height) < 0.02]
        extents.append([np.abs(ring[:, 0]).max(), ring[:, 1].min(), ring[:, 1].max()])
    reach = np.array(extents)
    reach[:, 0] = np.maximum.accumulate(reach[:, 0])
    reach[:, 1], reach[:, 2] = np.minimum.accumulate(reach[:, 1]), np.maximum.accumulate(reach[:, 2])
    down = np.linspace(0, 1, rows)
    loose = 1.0 + 0.05 * ramp(0, 0.25, down) + outfit.flare / reach[:, 0] * down
    middle = (0.5 * (reach[:, 1] + reach[:, 2]))[:, None]
    half_depth = (0.5 * (reach[:, 2] - reach[:, 1]) * loose + 0.008)[:, None]
    half_width = (reach[:, 0] * loose + 0.006)[:, None]
    angle = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    pleats = 1 + outfit.flare * 0.25 * np.sin(angle * 9 + identity.seed) * down[:, None]

    def rounded(value: FloatArray) -> FloatArray:  # between an ellipse and a box, to cover two legs side by side
        return np.sign(value) * np.abs(value) ** 0.82

    x = half_width * rounded(np.cos(angle)) * pleats
    y = middle + half_depth * rounded(np.sin(angle)) * pleats
    points = np.stack([x, y, np.broadcast_to(heights[:, None], x.shape)], -1).reshape(-1, 3).astype(np.float32)
    legs = ramp(hip[2] + 0.06, hip[2] - 0.12, points[:, 2]) * np.where(points[:, 1] < middle.mean(), 0.9, 0.6)
    left = ramp(-0.09, 0.09, points[:, 0])
    weights = np.zeros((len(points), len(body.bones)), np.float32)
    weights[:, body.bone("root")] = 1 - legs
    weights[:, body.bone("upperleg.L")] = legs * left
    weights[:, body.bone("upperleg.R")] = legs * (1 - left)
    material = np.stack([np.broadcast_to(angle * half_width.max(), x.shape).ravel(), points[:, 2]], 1)
    return HangingSurface(points, weights, grid_faces(rows, columns, closed=True), CLOTH, material.astype(np.float32))
