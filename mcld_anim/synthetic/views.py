"""Random pictures of one person: pose, framing, light and background."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mcld_anim.body.rig import FloatArray
from mcld_anim.synthetic.motion import Pose, random_pose, relaxed_pose, walking_pose
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import FRAME_HEIGHT, Light, View, draw_background, draw_light

SOURCE_VIEWS = 2  # number of leading views that look like a user's source photo
FULL_BODY_HEIGHT = (0.85, 0.92)  # range of a standing body's height, as a fraction of the frame
HALF_BODY_SHARE = 0.25
FRONTAL_SHARE = 0.70
WALK_SHARE = 0.15
OTHER_LIGHT_SHARE = 0.15
VIEW_MARGIN = 0.02  # margin around a full-length body, as a fraction of the frame


@dataclass(frozen=True)
class Shot:
    """One picture of a person."""

    pose: Pose
    view: View
    light: Light


def fit_view(vertices: FloatArray, view: View, height: float, share: float) -> View:
    """`view` shifted and zoomed so that a standing body `height` metres tall fills `share` of the frame.

    If the pose itself does not fit, the view is zoomed out until it does.
    """
    seen = replace(view, zoom=1.0, x=0.0, z=0.0).project(vertices, 1)
    low, high = seen[:, :2].min(0), seen[:, :2].max(0)
    standing = View().project(np.array([[0, 0, -height / 2], [0, 0, height / 2]], np.float32), 1)
    zoom = share / float(standing[0, 1] - standing[1, 1])
    zoom = min(zoom, (1 - 2 * VIEW_MARGIN) / float(max(high - low)))
    middle = 0.5 * (low + high) - 0.5  # in units of a frame at zoom 1
    per_metre = float(standing[0, 1] - standing[1, 1]) / height
    return replace(view, zoom=zoom, x=float(middle[0]) / per_metre, z=-float(middle[1]) / per_metre)


def draw_shot(person: Person, generator: np.random.Generator, index: int, light: Light) -> Shot:
    """View `index` of a person: relaxed and frontal for the first `SOURCE_VIEWS`, otherwise in any pose."""
    source = index < SOURCE_VIEWS
    if source:
        pose = relaxed_pose(generator)
    else:
        pose = walking_pose(generator.random()) if generator.random() < WALK_SHARE else random_pose(generator)
        frontal = generator.random() < FRONTAL_SHARE
        pose = pose.changed(turn=generator.normal(0, 0.35) if frontal else generator.uniform(-np.pi, np.pi))
    view = View(pitch=float(generator.normal(0, 0.04)))
    share = generator.uniform(*FULL_BODY_HEIGHT)
    view = fit_view(person.posed(pose), view, person.identity.stature, share)
    view = replace(view, x=view.x + generator.uniform(-0.05, 0.05), z=view.z + generator.uniform(-0.02, 0.02))
    half_body = generator.random() < HALF_BODY_SHARE
    if half_body and index > 0:
        stature = person.identity.stature
        zoom, above = generator.uniform(1.5, 2.1), generator.uniform(-0.03, 0.10)
        # The top of the head stays near the top of the frame.
        middle = stature / 2 + above - 0.5 * FRAME_HEIGHT / zoom
        view = View(view.yaw, view.pitch, zoom, view.x + generator.uniform(-0.05, 0.05), middle)
    if index > 0 and generator.random() < OTHER_LIGHT_SHARE:
        light = draw_light(generator)
    return Shot(pose, view, light)


def draw_shots(person: Person, first: int, count: int) -> list[Shot]:
    """Views `first` to `first + count - 1` of a person, from its seed; view i does not depend on the range."""
    seed = person.identity.seed
    light = draw_light(np.random.default_rng([seed, 3]))
    return [
        draw_shot(person, np.random.default_rng([seed, 4, index]), index, light)
        for index in range(first, first + count)
    ]


def person_background(person: Person, size: int) -> FloatArray:
    """The background (size, size, 3) in [0, 1] of all pictures of a person."""
    return draw_background(np.random.default_rng([person.identity.seed, 2]), size)


def render_views(person: Person, count: int, size: int, supersample: int = 2) -> list[Rendering]:
    """The first `count` pictures of a person, with one background."""
    background = person_background(person, size)
    return [
        render(person, shot.pose, shot.view, shot.light, background, size, supersample)
        for shot in draw_shots(person, 0, count)
    ]
