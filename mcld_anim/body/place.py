"""The driver's motion on the source's body, in the source's photo: `--retarget body` with `--framing photo`.

Rotations are the driver's, bone lengths and shape the source's. The person begins where the photo shows them and moves
from there as the driver moves from the first frame of the scene: sideways and up in the source's metres, towards the
camera in proportion. The lowest point keeps the driver's height above the ground, so steps stay on it and jumps stay
jumps. Somebody who would leave the picture is followed: moves are compressed as they near its edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from mcld_anim.body.fit import BodyMotion, BodyShape
from mcld_anim.body.skeleton import skeleton

NOSE, SHOULDERS, HIPS, FEET = 0, (11, 12), (23, 24), (27, 28, 29, 30, 31, 32)
"""Landmarks, in MediaPipe's order."""
EDGE_SPACE, HEAD_SPACE = 0.08, 1.1
"""Space between the nose and the picture's edges into which nobody goes, as a fraction of the picture's side, and above
it in heights of the head over the nose; less where the photo has less."""
NEARER = 0.5
"""Largest change of distance from the camera, in logarithms."""


def placed(driver: BodyMotion, scenes: Sequence[slice], source: BodyMotion, head: float) -> BodyMotion:
    """The motion of `driver` by the body of `source` (one frame), in the source's picture; `head` is how far the head
    with its hair reaches above the nose there, in pixels."""
    there, here = driver.landmarks()[1] + driver.camera[:, None], source.landmarks()
    local = replace(driver, shape=source.shape, camera=np.zeros_like(driver.camera)).landmarks()[1]
    camera = np.zeros_like(driver.camera)
    size = _stature(source.shape) / _stature(driver.shape)
    for scene in scenes:
        begin = here[1][0] + source.camera[0], here[0][0]
        camera[scene] = _cameras(there[scene], local[scene], begin, source, size, head)
    moved = replace(driver, shape=source.shape, camera=camera.astype(np.float32))
    return replace(moved, focal=source.focal, size=source.size)


def _cameras(
    there: Float[np.ndarray, "frames 33 3"],
    local: Float[np.ndarray, "frames 33 3"],
    begin: tuple[Float[np.ndarray, "33 3"], Float[np.ndarray, "33 2"]],
    source: BodyMotion,
    size: float,
    head: float,
) -> Float[np.ndarray, "frames 3"]:
    """Cameras of one scene. `there`: the driver's landmarks before their camera; `local`: the source's body in the
    driver's poses; `begin`: the photo's landmarks before its camera and in pixels; `size`: the source's height in those
    of the driver."""
    (here, shown), height = begin, source.size[0]
    anchor = list(HIPS if shown[list(HIPS), 1].max() < height else SHOULDERS)
    centre, driven, start = local[:, anchor].mean(1), there[:, anchor].mean(1), here[anchor].mean(0)
    camera = np.zeros_like(centre)
    change = np.log(driven[:, 1] / driven[0, 1])
    nearest = min(start[1], here[NOSE, 1])  # of a close-up the face is much nearer than the shoulders
    camera[:, 1] = start[1] + nearest * np.expm1(_compressed(change, -NEARER, NEARER)) - centre[:, 1]
    camera[:, 0] = start[0] + size * (driven[:, 0] - driven[0, 0]) - centre[:, 0]
    rise = size * (there[..., 2].min(1) - there[0, :, 2].min()) - local[..., 2].min(1)
    on_ground = shown[list(FEET), 1].max() < height
    first = here[:, 2].min() if on_ground else start[2] - centre[0, 2] + local[0, :, 2].min()
    camera[:, 2] = first + rise
    return _followed(camera, local, shown, source, head)


def _followed(
    camera: Float[np.ndarray, "frames 3"],
    local: Float[np.ndarray, "frames 33 3"],
    shown: Float[np.ndarray, "33 2"],
    source: BodyMotion,
    head: float,
) -> Float[np.ndarray, "frames 3"]:
    """The cameras with which the head stays in the picture."""
    middle = np.array([source.size[1], source.size[0]]) / 2
    nose = local[:, NOSE] + camera
    place = middle + source.focal * nose[:, [0, 2]] * [1, -1] / nose[:, 1:2]
    end = 2 * middle - EDGE_SPACE * 2 * middle
    first = np.array([EDGE_SPACE * 2 * middle[0], HEAD_SPACE * head])
    home = shown[NOSE].clip(0, 2 * middle)
    limit = [np.minimum(first, home) - home, np.maximum(end, home) - home]
    kept = home + _compressed(place - home, limit[0], limit[1])
    shift = (kept - place) * nose[:, 1:2] / source.focal
    return camera + np.stack([shift[:, 0], np.zeros(len(shift)), -shift[:, 1]], 1)


def _compressed(move: np.ndarray, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
    """Moves that stay between `low` < 0 and `high` > 0 and are unchanged near 0."""
    limit = np.where(move > 0, high, low)
    safe = np.where(np.abs(limit) < 1e-6, 1, limit)
    return np.where(np.abs(limit) < 1e-6, 0, safe * np.tanh(move / safe))


def _stature(shape: BodyShape) -> float:
    """From heel to nose at rest, in metres."""
    rest = skeleton().rest_landmarks(shape.coefficients, shape.scale)
    return float(rest[NOSE, 2] - rest[list(FEET), 2].min())
