"""A fitted body bent to its person's outline in a photo: offsets of the vertices at rest, which move with the skin.

The rigged body is naked and its fit is off by a few pixels. As in SMPL+D (Alldieck et al., "Video Based Reconstruction
of 3D People Models", CVPR 2018) every vertex gets an offset. Moves in the picture's plane bring the drawn outline to
the person's, round by round; the offsets D that each round adds are smooth on the mesh:

    min_D  |A D - m|^2 + l sum over edges |D_i - D_j|^2 + u |D|^2

with A the vertices at the outline's pixels and m their moves. Turned back to the rest pose, hair, jackets and wide
trousers are then a part of the mesh. Hands keep their shape: they wear nothing wide, and what lies beside their fingers
is no part of them. Where the picture cuts the person off, the outline goes on along the surface's normals.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import scipy.sparse as sparse
from jaxtyping import Bool, Float
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from mcld_anim.body.draw import BodyPainter, DrawnBody, Vertices
from mcld_anim.body.fit import BodyMotion
from mcld_anim.body.rig import load_body
from mcld_anim.body.smooth_mesh import laplacian
from mcld_anim.core.arrays import Mask

ROUNDS, ROUNDS_OF_MEAN = 6, 2
"""Rounds of matching the outlines; each begins where the one before ended. In a mean over frames the later ones, which
follow details, cancel out."""
LEAST_POINTS = 10
"""Points of an outline from which it can be matched."""
REACH = 0.08
"""Largest move of an outline point in one round, as a fraction of the person's height."""
TURNED = 0.03
"""Distance that counts as much as a normal turned by 60 degrees, as a fraction of the person's height."""
SMOOTHNESS, RESISTANCE = 0.3, 0.005
"""Weights l of differences between neighbouring vertices and u of offsets, against one pixel of the outline: a move
has faded to a third after sqrt(l / u), eight edges of the mesh, some eight centimetres."""
UNSEEN_RESISTANCE = 0.0001
"""The weight u where the picture's edge hides the outline: moves reach seven times as far."""
FACING = 0.3
"""Square of the cosine between normal and line of sight up to which a vertex is at the outline."""
STEPS_TO_EDGE = 5
"""Places on the way from a vertex to the picture's edge at which the person is looked for."""


def outline_offsets(
    painter: BodyPainter, motion: BodyMotion, person: Mask, hidden: str = "", rounds: int = ROUNDS
) -> Vertices:
    """Offsets (V, 3), in metres, after which frame 0 of `motion` has the outline of `person` (H, W).

    hidden: sides ("L", "R") whose forearm and hand are not seen. The painter's own where the person or the body has no
    outline in the picture.
    """
    turned, _ = painter.transforms(motion.controls[0])
    pixels = float(motion.heights[0])  # of the person's height
    bends = 1 - load_body().weight("hand", "finger")[:, None]
    moved = np.zeros_like(painter.rest)  # in the pose
    begin, bent = painter.offsets, painter
    here, normals = outline(person)
    for _ in range(rounds):
        drawn = bent.drawn(motion, 0, hidden)
        there, mesh_normals = outline(drawn.person)
        if min(len(here), len(there)) < LEAST_POINTS:
            break
        nearest, near = matched(here, normals, there, mesh_normals, TURNED * pixels, REACH * pixels)
        beyond = there[~person[there[:, 1], there[:, 0]]]  # of the mesh, whatever its normal there
        back, reached = matched(beyond, np.zeros(beyond.shape), here, np.zeros(here.shape), 0, REACH * pixels)
        places = np.concatenate([there[nearest[near]], beyond[reached]])
        if not len(places):
            break
        moves = np.concatenate([here[near], here[back[reached]]]) - places
        moved += _smooth_moves(drawn, places, moves, motion.focal)
        bent = painter.bent(begin + bends * _turned_back(moved, turned))
    whole = _continued(moved, bent.drawn(motion, 0, hidden), person, REACH * pixels)
    return begin + bends * _turned_back(whole, turned)


def mean_offsets(
    painter: BodyPainter, motion: BodyMotion, people: Sequence[Mask], frames: Sequence[int], hidden: Sequence[str]
) -> Vertices:
    """The mean of the offsets (V, 3), in metres, that some `frames` of a motion ask for by themselves.

    people: the person (H, W) in each of these frames, in a picture of the motion's size; hidden: of each of them, as
    for `outline_offsets`.
    """
    alone = [motion.at(index) for index in frames]
    each = [outline_offsets(painter, *one, rounds=ROUNDS_OF_MEAN) for one in zip(alone, people, hidden, strict=True)]
    return np.asarray(np.mean(each, 0), np.float32)


def outline(mask: Mask, every: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Every n-th pixel (n, 2) x, y of a mask's outlines, without those on the border, and normals out of it."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    points = [contour[::every, 0] for contour in contours if len(contour) > 12]
    if not points:
        return np.zeros((0, 2), int), np.zeros((0, 2))
    x, y = np.concatenate(points).T
    inner = (x > 2) & (y > 2) & (x < mask.shape[1] - 3) & (y < mask.shape[0] - 3)
    x, y = x[inner], y[inner]
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2)
    down, across = np.gradient(soft)
    normal = -np.stack([across[y, x], down[y, x]], 1)
    return np.stack([x, y], 1), normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-6)


def matched(
    here: np.ndarray, normals: np.ndarray, there: np.ndarray, others: np.ndarray, turned: float, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """For each outline point, the index of the other outline's nearest point by place and normal, and whether it lies
    within `reach` pixels. `turned`: pixels that count as much as a normal turned by 60 degrees."""
    tree = cKDTree(np.concatenate([there, others * turned], 1))
    _, nearest = tree.query(np.concatenate([here, normals * turned], 1))
    return nearest, np.linalg.norm(there[nearest] - here, axis=1) < reach


def _smooth_moves(drawn: DrawnBody, pixels: np.ndarray, moves: np.ndarray, focal: float) -> Vertices:
    """Moves (V, 3) in the pose, metres, from moves (n, 2) of outline pixels (n, 2) of the drawn body, both x, y."""
    column, row = (pixels - drawn.corner).T
    corners, share = load_body().faces[drawn.triangle[row, column]], drawn.share[row, column]
    scale = (drawn.away[corners] * share).sum(1) / focal  # metres per pixel
    numbers, count = np.repeat(np.arange(len(pixels)), 3), len(drawn.points)
    shape = len(pixels), count
    at = sparse.csr_matrix((share.ravel(), (numbers, corners.ravel())), shape=shape)
    target = np.stack([moves[:, 0] * scale, np.zeros(len(moves)), -moves[:, 1] * scale], 1)
    system = at.T @ at + SMOOTHNESS * laplacian() + RESISTANCE * sparse.identity(count)
    return np.asarray(splu(system.tocsc()).solve(at.T @ target), np.float32)


def _turned_back(moved: Vertices, turned: Float[np.ndarray, "vertices 3 3"]) -> Vertices:
    """Moves in a pose at rest."""
    return np.asarray(np.linalg.solve(turned, moved[..., None])[..., 0], np.float32)


def _continued(moved: Vertices, drawn: DrawnBody, person: Mask, reach: float) -> Vertices:
    """Moves (V, 3) that beyond the picture's edges go on along the surface's normals, as far as the outline does beside
    them: hair that the picture cuts off is as thick there."""
    (x, y), (height, width) = drawn.points.T, drawn.size
    shown = (x > 0) & (y > 0) & (x < width) & (y < height)
    normals = drawn.normals
    at_outline = normals[:, 1] ** 2 < FACING
    unknown = at_outline & (~shown | _cut(drawn.points, person, reach))
    known = at_outline & shown & ~unknown
    if not unknown.any() or not known.any():
        return moved
    thickness = _spread((moved * normals).sum(1, keepdims=True), known)
    goal = np.where(unknown[:, None], normals * thickness, moved)
    return _spread(goal, shown | unknown)


def _spread(
    values: Float[np.ndarray, "vertices channels"], known: Bool[np.ndarray, " vertices"]
) -> Float[np.ndarray, "vertices channels"]:
    """Values that are as given where they are known, and smooth."""
    system = sparse.diags(known + UNSEEN_RESISTANCE) + SMOOTHNESS * laplacian()
    return np.asarray(splu(system.tocsc()).solve(known[:, None] * values), np.float32)


def _cut(points: Float[np.ndarray, "vertices 2"], person: Mask, reach: float) -> Bool[np.ndarray, " vertices"]:
    """Whether the person fills the way from a vertex to an edge of the picture that lies within `reach` pixels."""
    height, width = person.shape
    last = np.array([width, height]) - 1
    steps = np.linspace(0, 1, STEPS_TO_EDGE)[:, None]
    cut = np.zeros(len(points), bool)
    for axis, end in ((0, 0), (0, last[0]), (1, 0), (1, last[1])):
        edge = points.copy()
        edge[:, axis] = end
        way = (points + steps[..., None] * (edge - points)).clip(0, last).astype(int)
        cut |= (np.abs(points[:, axis] - end) < reach) & person[way[..., 1], way[..., 0]].all(0)
    return cut
