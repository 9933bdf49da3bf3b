"""`mcld-anim eval light`: how the brightness of a person's surface follows its normals, on rendered people.

One view of a person is the photo, warped into their other views (`source.photo_warp`). Where the photo shows a pixel's
colour, its brightness in the other view differs from the photo's as the surface has turned in the light.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mcld_anim.body.draw import BodyPainter
from mcld_anim.options.person import LARGEST
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.pose.body_follower import BodyFollower
from mcld_anim.pose.matte_alignment import aligned_body
from mcld_anim.run.photo import PhotoPerson
from mcld_anim.synthetic.person import Person, render
from mcld_anim.synthetic.views import draw_shots, person_background
from mcld_anim.video.read import VideoFrame

SIZE = 512
"""Side of the pictures, in pixels."""
SEEN = 0.8
"""Validity, 0..1, from which a pixel counts."""
DARK = 8.0
"""Levels added to colours before their logarithm: dark ones are noise."""
OUTLIER, ROUNDS = 0.15, 15
"""Residual, in natural logarithms, that halves a pixel's weight, and rounds of reweighting."""


@dataclass(frozen=True)
class LightOptions:
    """What `eval light` renders."""

    people: int = 12
    poses: int = 5  # of each person, besides the photo's
    first_seed: int = 1000


def light(
    options: LightOptions, backend: BodyBackend, on_person: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, float]:
    """Change of brightness, as a natural logarithm, for a unit of each component of the surface's normal.

    sideways: to the picture's right; edge_on: away from the camera; up. pixels: how many were compared.
    """
    turns, changes = [], []
    for number in range(options.people):
        for turned, change in _compared(options.first_seed + number, options.poses, backend):
            turns.append(turned)
            changes.append(change)
        on_person(number + 1, options.people)
    turned, change = np.concatenate(turns), np.concatenate(changes)
    weight, slope = np.ones(len(change)), np.zeros(3)
    for _ in range(ROUNDS):
        slope = np.linalg.solve((turned * weight[:, None]).T @ turned, (turned * weight[:, None]).T @ change)
        weight = 1 / (1 + ((change - turned @ slope) / OUTLIER) ** 2)
    return {"sideways": float(slope[0]), "edge_on": float(slope[1]), "up": float(slope[2]), "pixels": len(change)}


def _compared(
    seed: int, poses: int, backend: BodyBackend
) -> Iterator[tuple[Float[np.ndarray, "pixels 3"], Float[np.ndarray, " pixels"]]]:
    """Of each pose: how the normals of its seen pixels differ from the photo's, and how their brightness does."""
    person = Person.from_seed(seed)
    background = person_background(person, SIZE)
    shots = draw_shots(person, 0, poses + 1)
    pictures = [render(person, shot.pose, shot.view, shot.light, background, SIZE).picture for shot in shots]
    (found,) = backend.estimate(pictures[:1])
    if not found or found[0].body is None:
        return
    person_in_photo = PhotoPerson.of(pictures[0], found[0].body)
    frame, (bent, warp) = person_in_photo.frame, person_in_photo.fitted()
    with tempfile.TemporaryFile() as masks:
        follower = BodyFollower(backend.networks, LARGEST, masks)
        for index, picture in enumerate(pictures):
            follower.add(VideoFrame(index, float(index), picture), cut=True)  # poses that do not follow each other
        body = follower.fitted()
        painter = BodyPainter(body.motion.shape).bent(bent.offsets)
        for index in np.flatnonzero(body.seen.found)[1:].tolist():
            mesh = painter.drawn(frame.motion(body.motion), index, body.hidden[index])
            layer = warp.layer(aligned_body(mesh, frame.matte(body.matte(index))))
            seen = layer.drawn.inside & (layer.validity > SEEN)
            before, after = (planes[seen].mean(1) + DARK for planes in (layer.colours, frame.picture(pictures[index])))
            yield layer.drawn.over(layer.drawn.normals - warp.drawn.normals)[seen], np.log(after / before)
