"""How the body stands in one frame's IUV: an affine map per segment from the mean body at rest to the picture.

Linear blend skinning (Magnenat-Thalmann et al., "Joint-Dependent Local Deformations", 1988) says where a place X of
the rest body is seen: x = sum_b w_b(X) (A_b X + t_b). Every pixel of the person gives X and w, so that all A_b (2, 3)
and t_b follow from one least squares problem. A camera far away makes A_b two rows of a scaled rotation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from einops import rearrange
from jaxtyping import Float

from mcld_anim.body.surface import GRID, PARENTS, SEGMENTS, rest_body
from mcld_anim.body.texels import cell_index
from mcld_anim.core.arrays import Iuv

MOST_PIXELS = 3000
"""Looked at for the fit, evenly spread: sixty numbers need no more."""
TOLERANCE = 0.06
"""Metres by which the surface may lie off the map and count a quarter: wrong labels lie further off."""
ROUNDS = 4
"""Least squares with pixels weighed anew by how far off they are (Geman and McClure's weights)."""
JOINT_WEIGHT = 0.05
"""Of the person's pixels, that a joint counts for: neighbouring segments agree about where it is."""
STIFFNESS = 0.004
"""Of the person's pixels: how much a segment is expected to go on as its parent, where pixels do not say."""
REACH = 0.1
"""Metres from the joint at which `STIFFNESS` pixels would lie."""

SegmentMaps = Float[np.ndarray, "segments 2 4"]
"""[A | t] of every segment: metres of the rest body to x, y in pixels (pixel i covers i to i + 1)."""


@dataclass(frozen=True, eq=False)
class BodyFit:
    """The person of one frame, n pixels."""

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
    """The segments' maps in a frame, None where it shows no person."""
    rows, columns = np.nonzero(iuv[..., 0])
    if not len(rows):
        return None
    body, cells = rest_body(), cell_index(iuv, (rows, columns), GRID)
    chosen = slice(None, None, max(1, len(rows) // MOST_PIXELS))
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
        scale = np.sqrt((solution.reshape(len(SEGMENTS), 4, 2)[0, :3] ** 2).sum() / 2)  # pixels of a metre
        weight = 1 / (1 + (off / max(TOLERANCE * scale, 1.5)) ** 2) ** 2
    maps = rearrange(solution, "(segment unknown) xy -> segment xy unknown", unknown=4)
    return BodyFit(rows, columns, cells, maps, body.shares[cells].sum(0))


def blended(shares: np.ndarray, places: np.ndarray) -> Float[np.ndarray, "n unknowns"]:
    """Rows whose product with the flattened maps (4 S, 2) is x, y of places (n, 3) carried by shares (n, S)."""
    homogeneous = np.concatenate([places, np.ones((len(places), 1))], 1)
    return (shares[:, :, None] * homogeneous[:, None, :]).reshape(len(places), -1)


def posed(maps: SegmentMaps, shares: np.ndarray, places: np.ndarray) -> Float[np.ndarray, "n 2"]:
    """Where places (n, 3) of the rest body, carried by shares (n, S), are seen: x, y in pixels."""
    return blended(shares, places) @ rearrange(maps, "segment xy unknown -> (segment unknown) xy")


def _ties(pixels: int) -> Float[np.ndarray, "unknowns unknowns"]:
    """What holds segments together, as a part of the normal equations: joints, and a little stiffness."""
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
    ridge = 1e-9 * pixels * np.eye(count)  # a segment that nobody sees, and whose parent is not seen either
    return np.array(rows).T @ np.array(rows) + ridge


_AXES = REACH * np.eye(3, 4)
