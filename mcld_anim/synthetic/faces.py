"""Close-ups of a person's head, for the face embedder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mcld_anim.synthetic.anatomy import HEAD, anatomy
from mcld_anim.synthetic.motion import ARMS_DOWN, Pose
from mcld_anim.synthetic.person import Person, render
from mcld_anim.synthetic.scene import CAMERA_DISTANCE, FRAME_HEIGHT, View, draw_background, draw_light

FACE_SIZE = 96
HEAD_HEIGHT = (0.62, 0.88)  # range of the head's height, as a fraction of the frame


def draw_head_pose(generator: np.random.Generator) -> Pose:
    """A pose with arms down, the body turned a little, and the head turned, nodding and tilted."""
    return Pose(
        {
            "arm_raise.L": ARMS_DOWN,
            "arm_raise.R": ARMS_DOWN,
            "turn": float(np.clip(generator.normal(0, 0.4), -1.1, 1.1)),
            "head_yaw": generator.uniform(-0.45, 0.45),
            "head_pitch": generator.uniform(-0.22, 0.25),
            "head_roll": generator.uniform(-0.2, 0.2),
        }
    )


def head_view(person: Person, pose: Pose, share: float, x: float, z: float) -> View:
    """A view in which the head fills `share` of the frame's height, `x`, `z` frame sides off the centre."""
    vertices = person.posed(pose)
    head = vertices[: len(anatomy().field)][anatomy().field[:, HEAD] > 0.85]
    low, high = head.min(0), head.max(0)
    distance = CAMERA_DISTANCE + float(0.5 * (low[1] + high[1]))
    zoom = share * FRAME_HEIGHT * distance / CAMERA_DISTANCE / float(high[2] - low[2])
    seen = FRAME_HEIGHT / zoom
    # A view's `x` and `z` are metres in the plane of the object, so perspective does not change them.
    return View(0.0, 0.0, zoom, float(0.5 * (low[0] + high[0])) + x * seen, float(0.5 * (low[2] + high[2])) + z * seen)


def render_face_views(
    person: Person, rng: np.random.Generator, count: int, size: int = FACE_SIZE
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pictures and IUVs of `count` close-ups, each uint8 (count, size, size, 3); pose, light and background vary."""
    pictures = np.empty((count, size, size, 3), np.uint8)
    iuvs = np.empty((count, size, size, 3), np.uint8)
    for index in range(count):
        pose = draw_head_pose(rng)
        view = head_view(person, pose, rng.uniform(*HEAD_HEIGHT), rng.uniform(-0.06, 0.06), rng.uniform(-0.06, 0.06))
        light, background = draw_light(rng), draw_background(rng, size)
        rendering = render(person, pose, view, light, background, size)
        pictures[index], iuvs[index] = rendering.picture, rendering.iuv
    return pictures, iuvs
