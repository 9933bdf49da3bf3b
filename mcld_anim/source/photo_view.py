"""One photo's person as other poses sample it, and several photos of one person sampled together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mcld_anim.body.draw import DrawnBody
from mcld_anim.core.arrays import Alpha, Picture

OWN = 0.3
"""Matte of the photo, 0..1, from which a pixel is the person's and may be sampled."""
SEAM = 7
"""Width in pixels over which seen and guessed colours are mixed."""
WEIGHT_BLUR = 3.0
"""Standard deviation, in pixels, of the blur of the photos' weights, which come in texels."""
LEAST_WEIGHT = 1e-4
"""Weight of a photo on surface that another shows better; it counts where the other's pixels fail."""

Colours = UInt8[np.ndarray, "h w 3"]
Planes = Float[np.ndarray, "h w 3"]
Plane = Float[np.ndarray, "h w"]


@dataclass(frozen=True, eq=False)
class PhotoView:
    """One photo's person."""

    colours: Picture  # the photo, with the person's colours continued across their edge
    own: Alpha  # the photo's matte, 0 where the colours may not be the person's
    drawn: DrawnBody  # the body in the photo's pose
    weights: Float[np.ndarray, "24 200 200"]  # of this photo among several, see `surface_views.JoinedSurface`


def sampled(colours: Picture, own: Alpha, photo: DrawnBody, drawn: DrawnBody) -> tuple[Colours, Plane]:
    """A photo's colours in the box of another drawing of its body, and how far they are seen there, 0..1."""
    inside = drawn.inside
    places, seen = drawn.seen_in(photo)
    x, y = (drawn.pixels.planes(np.ascontiguousarray(axis, np.float32)) for axis in (places - 0.5).T)
    taken = cv2.remap(colours, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    matte = cv2.remap(own, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    known = drawn.pixels.planes(seen) * (matte > OWN)
    safe = cv2.erode(np.where(inside, known, 1), np.ones((3, 3), np.uint8))
    return taken, cv2.blur(safe, (SEAM, SEAM)) * (known > 0)


def sampled_together(views: Sequence[PhotoView], drawn: DrawnBody) -> tuple[Planes, Plane, Plane]:
    """Colours and how far they are seen, as `sampled`, of several photos; and z of the surface's normals in them."""
    inside = drawn.inside
    total, share = np.zeros(inside.shape, np.float32), np.zeros(inside.shape, np.float32)
    mixed, up = np.zeros((*inside.shape, 3), np.float32), np.zeros(inside.shape, np.float32)
    near = np.maximum(cv2.GaussianBlur(inside.astype(np.float32), (0, 0), WEIGHT_BLUR), 1e-3)
    for view in views:
        taken, seen = sampled(view.colours, view.own, view.drawn, drawn)
        given = drawn.pixels.planes(view.weights.ravel().take(drawn.texels))
        weight = seen * (cv2.GaussianBlur(given, (0, 0), WEIGHT_BLUR) / near + LEAST_WEIGHT)
        mixed += weight[..., None] * taken
        up += weight * drawn.over(view.drawn.normals[:, 2:])[..., 0]
        total += weight
        np.maximum(share, seen, out=share)
    factor = 1 / np.where(total > 0, total, np.float32(1))
    return mixed * factor[..., None], share, up * factor
