"""The body's pose in one frame's IUV: an affine map per segment from the mean body at rest to the picture.

Linear blend skinning (Magnenat-Thalmann et al., "Joint-Dependent Local Deformations", 1988) projects a point X of the
rest body to x = sum_b w_b(X) (A_b X + t_b). Every pixel of the person gives X and w, so all A_b (2, 3) and t_b follow
from one least squares problem. With a distant camera, A_b is two rows of a scaled rotation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from einops import rearrange
from jaxtyping import Float

from mcld_anim.body.surface import GRID, PARENTS, SEGMENTS, rest_body
from mcld_anim.body.texels import cell_index
from mcld_anim.core.arrays import Iuv

FITTED_PIXELS = 3000
"""Largest number of pixels in the fit, evenly spread: enough for its sixty unknowns."""
TOLERANCE = 0.06
"""Distance from the fit, in metres, at which a pixel's weight is a quarter; wrong labels are further off."""
ROUNDS = 4
"""Rounds of iteratively reweighted least squares, with Geman and McClure's weights."""
JOINT_WEIGHT = 0.05
"""Weight of a joint, at which neighbouring segments must agree, as a fraction of the person's pixels."""
STIFFNESS = 0.004
"""Weight with which a segment follows its parent where it is not seen, as a fraction of the person's pixels."""
STIFFNESS_ARM = 0.1
"""Distance from the joint, in metres, at which `STIFFNESS` applies."""

SegmentMaps = Float[np.ndarray, "segments 2 4"]
"""[A | t] of every segment: from metres on the rest body to x, y in pixels (pixel i covers i to i + 1)."""


@dataclass(frozen=True, eq=False)
class BodyFit:
    """The fit to one frame's person of n pixels."""

    rows: np.ndarray  # (n,) of the pixels
    columns: np.ndarray
    cells: np.ndarray  # (n,) indices into `RestBody.places`
    maps: SegmentMaps
    seen: Float[np.ndarray, " segments"]  # pixels of each segment

    @property
    def positions(self) -> Float[np.ndarray, "n 2"]:
        """x, y of the pixels' centres."""
        return np.stack([self.columns, self.rows], 1) + 0.5


def fit_body(iuv: Iuv) -> BodyFit | None:
    """Fit the segments' maps to a frame; None if it shows no person."""
    rows, columns = np.nonzero(iuv[..., 0])
    if not len(rows):
        return None
    body, cells = rest_body(), cell_index(iuv[rows, columns], GRID)
    chosen = slice(None, None, max(1, len(rows) // FITTED_PIXELS))
    places, shares = body.places[cells[chosen]], body.shares[cells[chosen]]
    positions = np.stack([columns[chosen], rows[chosen]], 1) + 0.5
    design = blended(shares, places)
    ties, count = _ties(len(places)), design.shape[1]
    weight = np.ones(len(places))
    solution = np.zeros((count, 2))
    for _ in range(ROUNDS):
        normal = design.T @ (design * weight[:, None]) + ties
        solution = np.linalg.solve(normal, design.T @ (positions * weight[:, None]))
        off = np.linalg.norm(design @ solution - positions, axis=1)
        scale = np.sqrt((solution.reshape(len(SEGMENTS), 4, 2)[0, :3] ** 2).sum() / 2)  # pixels per metre
        weight = 1 / (1 + (off / max(TOLERANCE * scale, 1.5)) ** 2) ** 2
    maps = rearrange(solution, "(segment unknown) xy -> segment xy unknown", unknown=4)
    return BodyFit(rows, columns, cells, maps, body.shares[cells].sum(0))


def blended(shares: np.ndarray, places: np.ndarray) -> Float[np.ndarray, "n unknowns"]:
    """Rows whose product with the flattened maps (4 S, 2) is x, y of places (n, 3) with skin weights (n, S)."""
    homogeneous = np.concatenate([places, np.ones((len(places), 1))], 1)
    return (shares[:, :, None] * homogeneous[:, None, :]).reshape(len(places), -1)


def posed(maps: SegmentMaps, shares: np.ndarray, places: np.ndarray) -> Float[np.ndarray, "n 2"]:
    """Projections of places (n, 3) of the rest body with skin weights (n, S): x, y in pixels."""
    return blended(shares, places) @ rearrange(maps, "segment xy unknown -> (segment unknown) xy")


def _ties(pixels: int) -> Float[np.ndarray, "unknowns unknowns"]:
    """The terms of the normal equations that tie segments to their parents: joints, and a little stiffness."""
    joints, count = rest_body().joints, 4 * len(SEGMENTS)
    rows = []
    for index, parent in enumerate(PARENTS):
        if parent < 0:
            continue
        for point, weight in ((np.append(joints[index], 1.0), JOINT_WEIGHT), *((axis, STIFFNESS) for axis in _AXES)):
            row = np.zeros(count)
            row[4 * index : 4 * index + 4] = point
            row[4 * parent : 4 * parent + 4] = -point
            rows.append(row * np.sqrt(weight * pixels))
    ridge = 1e-9 * pixels * np.eye(count)  # determines segments that are hidden together with their parents
    return np.array(rows).T @ np.array(rows) + ridge


_AXES = STIFFNESS_ARM * np.eye(3, 4)
