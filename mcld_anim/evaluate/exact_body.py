"""The body of a rendered person as the renderer draws it, in place of a fitted one: what errors of fits cost."""

from __future__ import annotations

import numpy as np

from mcld_anim.body.draw import DrawnBody, facing_camera
from mcld_anim.body.raster import rasterize
from mcld_anim.body.rig import load_body
from mcld_anim.synthetic.person import Person
from mcld_anim.synthetic.scene import CAMERA_DISTANCE, FRAME_HEIGHT
from mcld_anim.synthetic.views import Shot


def exact_body(person: Person, shot: Shot, size: int) -> DrawnBody:
    """The body in its clothes, without skirts and long hair, in a picture of `size` x `size` pixels."""
    body, view = load_body(), shot.view
    vertices = person.posed(shot.pose)[: len(body.mean_vertices)]
    projected = view.project(vertices, size)
    triangle, share = rasterize(projected, body.faces, size, size)
    from_camera = vertices @ view.rotation().T.astype(np.float32) + np.array([0, CAMERA_DISTANCE, 0], np.float32)
    focal = size * CAMERA_DISTANCE / FRAME_HEIGHT * view.zoom
    facing = facing_camera(from_camera, body.faces)
    return DrawnBody(projected[:, :2], projected[:, 2], facing, triangle, share, (0, 0), (size, size), focal)
