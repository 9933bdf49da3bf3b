"""Positions on the mean body at rest for every cell of DensePose's 24 charts, and the body's kinematic chain.

The body is that of the synthetic people (`mcld_anim.body.rig`), whose charts match DensePose's. Coordinates are metres:
x to the body's left, y to its back, z up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float
from scipy.spatial import cKDTree

from mcld_anim.body.rig import Body, load_body
from mcld_anim.core.arrays import PART_COUNT

GRID = 64
"""Cells per chart along U and along V. A limb of 0.4 metres is resolved in steps of 6 millimetres, under a pixel."""
CORNERS_PER_CELL = 4
"""Number of chart triangle corners whose weighted mean is a cell's position."""


@dataclass(frozen=True)
class Segment:
    """A rigid segment of the body."""

    name: str
    parent: int  # index of the segment that carries it, -1 for the pelvis
    joint: str  # bone whose start is the joint to the parent
    end: str  # bone whose start is the other end of the long axis; "": the axis points straight up
    bones: tuple[str, ...]  # prefixes of the names of the bones whose skin it carries
    side: str = ""  # "L" or "R"


def _limbs(side: str, first: int) -> tuple[Segment, ...]:
    """Segments of one side's arm and leg; `first` is the index of the first segment."""
    return (
        Segment("upper arm", 1, "upperarm", "lowerarm", ("upperarm",), side),
        Segment("lower arm", first, "lowerarm", "hand", ("lowerarm",), side),
        Segment("hand", first + 1, "hand", "finger3-1", ("hand", "finger"), side),
        Segment("upper leg", 0, "upperleg", "lowerleg", ("upperleg",), side),
        Segment("lower leg", first + 3, "lowerleg", "foot", ("lowerleg",), side),
        Segment("foot", first + 4, "foot", "", ("foot", "toe"), side),
    )


SEGMENTS = (
    Segment("hips", -1, "root", "", ("root", "spine05", "spine04")),
    Segment("chest", 0, "spine03", "", ("spine03", "spine02", "spine01", "clavicle", "neck01")),
    Segment("head", 1, "neck02", "", ("neck02", "neck03", "head", "eye")),
    *_limbs("L", 3),
    *_limbs("R", 9),
)
"""The kinematic chain; parents come before their children."""

PARENTS = tuple(segment.parent for segment in SEGMENTS)


@dataclass(frozen=True)
class RestBody:
    """The mean body at rest, S segments."""

    joints: Float[np.ndarray, "segments 3"]  # joint of each segment, metres
    axes: Float[np.ndarray, "segments 3"]  # unit vectors along the segments
    lengths: Float[np.ndarray, " segments"]  # along the axes, metres
    areas: Float[np.ndarray, " segments"]  # seen from one side, square metres: skin area / pi, as for a cylinder
    places: Float[np.ndarray, "cells 3"]  # position of every cell of every chart, metres
    normals: Float[np.ndarray, "cells 3"]  # outward unit normals at these positions
    shares: Float[np.ndarray, "cells segments"]  # weights of the segments at these positions, rows sum to 1


@lru_cache(maxsize=1)
def rest_body() -> RestBody:
    """The mean body; computed once, in half a second."""
    body = load_body()
    joints = np.stack([body.joint(_named(segment.joint, segment)) for segment in SEGMENTS]).astype(np.float64)
    axes, lengths = _axes(body, joints)
    corner = body.faces.reshape(-1)
    uv = body.uv.reshape(-1, 2)
    part = np.repeat(body.part, 3)
    shares = np.stack([body.weight(*segment.bones, side=segment.side) for segment in SEGMENTS], 1).astype(np.float64)
    skin = np.concatenate([body.mean_vertices, _normals(body), shares / shares.sum(1, keepdims=True)], 1)
    centres = (np.arange(GRID) + 0.5) / GRID
    cells = np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)  # V is the row
    laid = []
    for number in range(1, PART_COUNT + 1):
        # Every chart point once, although up to six triangles share it.
        mine = np.flatnonzero(part == number)
        mine = mine[np.unique(np.round(uv[mine], 5), axis=0, return_index=True)[1]]
        distance, nearest = cKDTree(uv[mine]).query(cells, k=CORNERS_PER_CELL)
        weight = 1 / (distance + 0.1 / GRID) ** 2
        weight /= weight.sum(1, keepdims=True)
        laid.append(np.einsum("nk,nkc->nc", weight, skin[corner[mine[nearest]]]))
    table = np.concatenate(laid)
    normals = table[:, 3:6] / (np.linalg.norm(table[:, 3:6], axis=1, keepdims=True) + 1e-9)
    areas = _areas(body) @ (shares / shares.sum(1, keepdims=True))[body.faces].mean(1) / np.pi
    return RestBody(joints, axes, lengths, areas, table[:, :3], normals, table[:, 6:])


def _named(bone: str, segment: Segment) -> str:
    return f"{bone}.{segment.side}" if segment.side else bone


def _axes(body: Body, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors (S, 3) and lengths (S,) of the segments' long axes."""
    heights = {"hips": float(joints[1, 2] - body.joint("upperleg.L")[2]), "chest": float(joints[2, 2] - joints[1, 2])}
    heights["head"] = float(body.mean_vertices[:, 2].max() - joints[2, 2])
    heights["foot"] = float(body.joint("foot.L")[2] - body.mean_vertices[:, 2].min())
    vectors = []
    for segment, joint in zip(SEGMENTS, joints, strict=True):
        end = body.joint(_named(segment.end, segment)) - joint if segment.end else [0, 0, heights[segment.name]]
        vectors.append(end)
    lengths = np.linalg.norm(vectors, axis=1)
    return np.array(vectors) / lengths[:, None], lengths


def _areas(body: Body) -> np.ndarray:
    """Area (F,) of every triangle of the mean body, square metres."""
    corner = body.mean_vertices[body.faces]
    return np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2


def _normals(body: Body) -> np.ndarray:
    """Outward unit normals (V, 3) of the mean body."""
    corner = body.mean_vertices[body.faces]
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    total = np.zeros_like(body.mean_vertices)
    for k in range(3):
        np.add.at(total, body.faces[:, k], across)
    return total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)
