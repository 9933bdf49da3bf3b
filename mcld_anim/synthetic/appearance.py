"""Albedo of a person, as a function of each visible point's rest coordinates (columns of `anatomy`)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcld_anim.body.rig import FloatArray
from mcld_anim.synthetic.anatomy import ARM, EAR, EYE, FOOT, HEAD, LEG, LIP, X, Y, Z, anatomy
from mcld_anim.synthetic.hanging import ramp
from mcld_anim.synthetic.identity import Face, Garment, Hair, Identity, Outfit

EDGE = 0.004  # metres over which one material blends into the next
ARM_LENGTH = 0.28  # metres between arm joints; converts ARM to metres


def hair_cover(hair: Hair, field: FloatArray) -> FloatArray:
    """Coverage (n,) in 0..1 of each point by hair that lies on the head."""
    if hair.style == "bald":
        return np.zeros(len(field), np.float32)
    body = anatomy()
    x, y, z = field[:, X], field[:, Y], field[:, Z]
    eyes = body.eye[2]
    # The hairline is high on the forehead, lower at the temples and in front of the ears, and ends at the nape.
    front = eyes + hair.line + 0.010 * np.cos(x * 45) - 0.006
    nape = {"short": eyes - 0.055, "buzz": eyes - 0.05, "bob": eyes - 0.10, "long": eyes - 0.12}.get(
        hair.style, eyes - 0.05
    )
    behind_ear = body.ear_line + 0.012
    before_ear = body.ear_line - 0.028
    temple = ramp(before_ear - 0.028, before_ear, y)
    line = front * (1 - temple) + (eyes - 0.012) * temple
    line = np.where(y > behind_ear, nape, line)
    cover = ramp(-EDGE, EDGE, z - line) * (field[:, HEAD] > 0.5)
    if hair.style in ("bob", "long"):
        return cover
    return cover * ramp(0.92, 0.84, field[:, EAR])


def clothing_masks(outfit: Outfit, field: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Coverage (n,) in 0..1 by top, bottom and shoes. A dress is a top whose skirt is in `bottom`."""
    body = anatomy()
    x, y, z, arm, leg, foot = (field[:, column] for column in (X, Y, Z, ARM, LEG, FOOT))
    waist = body.crotch + outfit.waist
    opening = np.clip(1 - np.abs(x) / 0.095, 0, 1)
    opening = opening if outfit.neckline == "v" else np.sqrt(opening)
    edge = body.neck - 0.035 - outfit.neck_depth * (y < 0) * opening
    lowest = waist - 0.01 if outfit.tucked or outfit.kind != "trousers" else waist - 0.08
    top = ramp(-EDGE, EDGE, edge - z) * ramp(0.01, -0.01, arm - outfit.sleeve) * ramp(-EDGE, EDGE, z - lowest)
    if outfit.sleeve < 0:
        top = top * np.maximum(ramp(0.168, 0.158, np.abs(x)), z < body.shoulder - 0.22)  # armholes, not hips
    top = top * (leg < 0.6)
    bottom = ramp(-EDGE, EDGE, waist + 0.01 - z) * ramp(0.006, -0.006, leg - outfit.hem) * (arm < -0.3) * (foot < 0.5)
    shoe = np.maximum(ramp(0.45, 0.55, foot), leg > 1.97)
    return top.astype(np.float32), bottom.astype(np.float32), shoe.astype(np.float32)


def garment_colour(
    garment: Garment,
    across: FloatArray,
    up: FloatArray,
    chest: NDArray[np.bool_],
    x: FloatArray,
    drop: FloatArray,
) -> FloatArray:
    """Colour (n, 3) of a garment at (`across`, `up`), metres of cloth.

    `chest` marks the points that may show a logo, and `drop` is their distance below the shoulders, metres.
    """
    colour = np.broadcast_to(garment.colour.astype(np.float32), (len(across), 3))
    turn = 2 * np.pi * garment.frequency
    pattern = garment.pattern
    if pattern == "plain":
        return colour
    if pattern == "print":
        return garment.picture.astype(np.float32)[
            ((up * 3) % 1 * 64).astype(int) % 64, ((across * 3) % 1 * 64).astype(int) % 64
        ]
    if pattern == "rows":
        other = np.sin(up * turn) > 0
    elif pattern == "columns":
        other = np.sin(across * turn) > 0.2
    elif pattern == "check":
        other = (np.sin(across * turn) > 0) ^ (np.sin(up * turn) > 0)
    elif pattern == "dots":
        other = np.sin(across * turn) * np.sin(up * turn) > 0.45
    elif pattern == "halves":
        other = x > 0
    elif pattern == "yoke":
        other = drop < 0.09
    else:
        high, size = drop - garment.logo_drop, garment.logo_size
        shapes = (
            x**2 + high**2 < size**2,
            (np.abs(x) < size) & (np.abs(high) < 0.6 * size),
            np.abs(x) + np.abs(high) < 1.1 * size,
            np.abs(high) < 0.02,
        )
        other = shapes[garment.logo] & chest
    return np.where(other[:, None], garment.second.astype(np.float32), colour)


class Paint:
    """Colours (n, 3) over which layers are composited."""

    def __init__(self, base: FloatArray, count: int) -> None:
        self.colour = np.repeat(np.asarray(base, np.float32)[None], count, 0)

    def lay(self, cover: FloatArray, colour: FloatArray, where: NDArray[np.integer] | None = None) -> None:
        """Composite `colour` (3,) or (n, 3) over the points `where` (all if None), with opacity `cover` in 0..1."""
        amount = np.clip(np.asarray(cover, np.float32), 0, 1)
        tone = np.asarray(colour, np.float32)
        covered = np.flatnonzero(amount > 1e-3)
        if tone.ndim == 2:
            tone = tone[covered]
        target = covered if where is None else where[covered]
        under = self.colour[target]
        self.colour[target] = under + amount[covered, None] * (tone - under)


def body_albedo(identity: Identity, field: FloatArray) -> FloatArray:
    """Colour (n, 3) float32 in [0, 1] of body points with rest coordinates `field` (n, 11)."""
    paint = Paint(identity.skin, len(field))
    head = np.flatnonzero(field[:, HEAD] > 0.4)
    front = np.flatnonzero((field[:, HEAD] > 0.4) & (field[:, Y] < anatomy().ear_line))
    paint_face(paint, identity, field[front], front)
    rest = np.flatnonzero(field[:, HEAD] < 0.95)
    paint_clothes(paint, identity.outfit, field[rest], rest)
    cover = hair_cover(identity.hair, field[head]) * (field[head, EYE] < 0.5)
    if identity.hair.style == "buzz":
        cover = cover * 0.75
    across = np.arctan2(field[head, X], field[head, Y] - anatomy().ear_line) * 0.1
    paint.lay(cover, hair_colour(identity.hair, across, field[head, Z]), head)
    return paint.colour


def hair_colour(hair: Hair, across: FloatArray, up: FloatArray) -> FloatArray:
    """Colour (n, 3) of hair with fine strands; `across` in metres around the head, `up` in metres."""
    wave = across + 0.004 * np.sin(up * 35)
    strands = np.sin(wave * 900) * 0.5 + np.sin(wave * 1530 + 1.3) * 0.3 + np.sin(wave * 370 + up * 20) * 0.5
    sheen = 0.12 * np.sin(up * 24 + 0.6)
    tone = 1 + hair.strands * strands + sheen
    return np.clip(hair.colour.astype(np.float32) * tone[:, None] + 0.02 * sheen[:, None], 0, 1).astype(np.float32)


def paint_clothes(paint: Paint, outfit: Outfit, field: FloatArray, where: NDArray[np.integer]) -> None:
    body = anatomy()
    x, y, z, arm, leg = (field[:, column] for column in (X, Y, Z, ARM, LEG))
    top, bottom, shoe = clothing_masks(outfit, field)
    if outfit.sock is not None:
        paint.lay(ramp(1.7, 1.72, leg), outfit.sock, where)
    drop = body.shoulder - z
    chest = (y < 0) & (arm < -0.3)
    on_arm = arm > -0.3
    around_leg = np.where(leg > -0.3, x * 1.0 + 0.6 * y, x)
    folds = fold_shade(outfit, field)
    paint.lay(bottom, garment_colour(outfit.bottom, around_leg, z, chest, x, drop) * folds, where)
    if outfit.belt is not None and outfit.tucked:
        waist = body.crotch + outfit.waist
        paint.lay((np.abs(z - waist) < 0.016) * (arm < -0.3) * 1.0, outfit.belt, where)
    across = np.where(on_arm, y * 1.2, x)
    up = np.where(on_arm, -arm * ARM_LENGTH, z)
    paint.lay(top, garment_colour(outfit.top, across, up, chest, x, drop) * folds, where)
    sole = (z < body.sole + 0.022)[:, None]
    paint.lay(shoe, np.where(sole, outfit.shoe_sole, outfit.shoe), where)


def fold_shade(outfit: Outfit, field: FloatArray) -> FloatArray:
    """Shading (n, 1) of cloth folds: soft light and dark bands, stronger in looser clothes."""
    x, y, z = field[:, X], field[:, Y], field[:, Z]
    shade = np.zeros(len(field), np.float32)
    for phase_x, phase_y, phase_z, tilt in outfit.folds.astype(np.float32):
        bend = 0.6 * np.sin(z * 9 + phase_z)
        shade += np.sin(
            z * 26 * np.cos(tilt) + x * 34 * np.sin(tilt) + y * 20 + phase_x + bend + 0.5 * np.sin(x * 17 + phase_y)
        )
    return (1 + (0.012 + 1.6 * outfit.top_looseness) * shade)[:, None]


def paint_face(paint: Paint, identity: Identity, field: FloatArray, where: NDArray[np.integer]) -> None:
    """Paint skin details, lips, beard, brows, eyes and glasses on the points `where` of the head."""
    body, face = anatomy(), identity.face
    x, y, z = np.abs(field[:, X]), field[:, Y], field[:, Z]
    front = (y < body.ear_line - 0.03) & (field[:, HEAD] > 0.4) & (field[:, EAR] < 0.9)
    skin = front & (field[:, EYE] < 0.5)
    eye_x, eye_z = float(body.eye[0]), float(body.eye[2])

    def spot(at_x: float, at_z: float, wide: float, high: float) -> FloatArray:
        return np.exp(-(((x - at_x) / wide) ** 2) - ((z - at_z) / high) ** 2)

    paint.lay(
        face.blush * spot(eye_x + 0.012, eye_z - 0.038, 0.02, 0.018) * skin,
        identity.skin * [1.05, 0.72, 0.68],
        where,
    )
    if face.freckles:
        speckle = np.sin(field[:, X] * 900) * np.sin(z * 1010 + 40 * field[:, X]) > 0.72
        paint.lay(face.freckles * speckle * spot(0.02, eye_z - 0.03, 0.04, 0.02) * skin, identity.skin * 0.5, where)
    paint_beard(paint, identity, field, where)
    paint.lay(ramp(0.28, 0.42, field[:, LIP]) * skin, face.lips, where)
    paint.lay(0.75 * (np.abs(z - body.mouth) < 0.0013) * (x < 0.021) * skin, face.lips * 0.3, where)
    paint.lay(0.35 * spot(eye_x, eye_z + 0.006, 0.019, 0.006) * skin, identity.skin * 0.5, where)
    lashes = np.abs(z - eye_z - 0.0062 + 22 * (x - eye_x) ** 2) < 0.0016
    paint.lay(0.8 * lashes * (np.abs(x - eye_x) < 0.0155) * skin, np.array([0.1, 0.07, 0.06]), where)
    arch = eye_z + face.brow_height + 0.004 * np.cos((x - eye_x) * 90) - 0.001
    taper = face.brow_width * np.clip(1.25 - np.abs(x - eye_x + 0.004) / 0.028, 0.35, 1)
    brow = ramp(face.brow_width * 0.4, 0, np.abs(z - arch) - taper * 0.8) * (np.abs(x - eye_x) < 0.0185)
    paint.lay(0.9 * brow * skin, face.brow, where)
    paint_eyes(paint, face, field, where)
    paint_glasses(paint, face, field, where)


def paint_beard(paint: Paint, identity: Identity, field: FloatArray, where: NDArray[np.integer]) -> None:
    face, body = identity.face, anatomy()
    if face.beard == 0 and not face.moustache:
        return
    x, y, z = np.abs(field[:, X]), field[:, Y], field[:, Z]
    skin = (field[:, HEAD] > 0.5) & (field[:, EAR] < 0.85) & (field[:, LIP] < 0.33) & (field[:, EYE] < 0.5)
    jaw = ramp(body.ear_line - 0.005, body.ear_line - 0.02, y)
    # The beard's upper edge rises from the mouth to the sideburns.
    cheek = body.mouth + 0.008 + 0.9 * np.clip(x - 0.034, 0, 0.05)
    below = ramp(0.004, -0.004, z - cheek) * ramp(body.mouth - 0.085, body.mouth - 0.062, z) * jaw
    lip = (np.abs(z - body.mouth - 0.013 + 8 * x**2) < 0.007) & (x < 0.028) & (y < body.nose[1] + 0.05)
    amount = face.beard * below
    if face.moustache:
        amount = np.maximum(amount, max(face.beard, 0.7) * lip)
    paint.lay(amount * skin, identity.hair.colour * 0.85, where)


def paint_eyes(paint: Paint, face: Face, field: FloatArray, where: NDArray[np.integer]) -> None:
    eye_x, _, eye_z = anatomy().eye
    ball = field[:, EYE] > 0.5
    radius = np.hypot(np.abs(field[:, X]) - eye_x, field[:, Z] - eye_z)
    paint.lay(ball * 1.0, np.array([0.93, 0.91, 0.90]), where)
    paint.lay(ball * ramp(0.0066, 0.0058, radius), face.iris, where)
    paint.lay(ball * ramp(0.0031, 0.0025, radius), np.array([0.02, 0.02, 0.02]), where)
    glint = np.hypot(field[:, X] - np.sign(field[:, X]) * eye_x - 0.002, field[:, Z] - eye_z - 0.002) < 0.0011
    paint.lay(ball * glint * 0.9, np.ones(3), where)


def paint_glasses(paint: Paint, face: Face, field: FloatArray, where: NDArray[np.integer]) -> None:
    if face.glasses == "none":
        return
    body = anatomy()
    eye_x, _, eye_z = body.eye
    x, y, z = np.abs(field[:, X]), field[:, Y], field[:, Z]
    aside, above = np.abs(x - eye_x) / 1.2, np.abs(z - eye_z + 0.003)
    ring = np.hypot(aside, above) if face.glasses == "round" else np.maximum(aside, above * 1.25)
    front = y < body.ear_line - 0.02
    rim = (np.abs(ring - 0.019) < 0.0023) & front
    bridge = (x < eye_x - 0.022) & (np.abs(z - eye_z - 0.003) < 0.0022) & front
    temple = (x > eye_x + 0.022) & (np.abs(z - eye_z - 0.002) < 0.002) & (field[:, EAR] < 0.97) & (y < body.ear_line)
    paint.lay((rim | bridge | temple) * 1.0, face.frame, where)


def skirt_albedo(outfit: Outfit, material: FloatArray) -> FloatArray:
    """Colour (n, 3) of a skirt at its `material` coordinates (n, 2)."""
    across, up = material[:, 0], material[:, 1]
    off = np.zeros(len(up), bool)
    colour = garment_colour(outfit.bottom, across, up, off, np.ones_like(up), np.ones_like(up))
    folds = (
        1 + 0.05 * np.sin(across * 40 + outfit.folds[0, 0]) + 0.03 * np.sin(across * 71 + up * 6 + outfit.folds[0, 1])
    )
    return np.asarray(colour * folds[:, None], np.float32)
