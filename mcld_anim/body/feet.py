"""The charts of the feet: our foot is cut open like the official one, then mapped like the other parts.

The official chart unrolls a foot around its long axis. The cut runs from the back of the ankle down to the heel, along
the outer edge of the sole to the small toe, and over the tips of the toes to the big toe. Used only at build time.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import connected_components, dijkstra

from mcld_anim.body.harmonic import harmonic_map, pin_by_arc_length
from mcld_anim.body.official_charts import (
    OPEN_EDGE,
    SEAM,
    SMPL_LANDMARKS,
    OfficialCharts,
    Segment,
    boundary_loops,
)
from mcld_anim.body.part_labels import FOOT_PART, LOWER_LEG_PARTS, unit
from mcld_anim.body.rig import FloatArray, IntArray, incidence, vertex_normals
from mcld_anim.core.errors import McldAnimError

TOE_SPACING = 0.007  # sideways distance below which two local tips belong to one toe, metres


def foot_path(vertices: FloatArray, faces: IntArray, ankle: int, side: str) -> list[list[int]]:
    """Vertices of the cut in three runs: ankle to heel, heel to small toe, small toe to big toe."""
    used = np.unique(faces)
    outward = 1.0 if side == "L" else -1.0
    low = used[vertices[used, 2] < vertices[used, 2].min() + 0.035]
    heel = int(low[vertices[low, 1].argmax()])
    tips = toe_tips(vertices, faces, outward)
    normals = vertex_normals(vertices, faces, incidence(faces, len(vertices)))
    sole_edge = unit(np.array([0.8 * outward, 0.0, -0.6]))
    back, front = np.array([0.0, 1.0, 0.0]), np.array([0.0, -1.0, 0.0])
    runs: list[list[int]] = []
    for direction, stops in ((back, [ankle, heel]), (sole_edge, [heel, tips[0]]), (front, tips)):
        taken = [vertex for run in runs for vertex in run[:-1]]
        runs.append(cheapest_path(vertices, faces, normals, direction, stops, taken))
    path = runs[0] + runs[1][1:] + runs[2][1:]
    if len(set(path)) != len(path):
        raise McldAnimError("The cut of the foot crosses itself: the mesh's toes are not where they were expected.")
    return runs


def toe_tips(vertices: FloatArray, faces: IntArray, outward: float) -> list[int]:
    """The foremost vertex of each toe, from the small toe to the big toe."""
    used = np.unique(faces)
    forward = -vertices[:, 1]
    length = np.ptp(forward[used])
    tip = np.ones(len(vertices), bool)
    for k in range(3):
        a, b = faces[:, k], faces[:, (k + 1) % 3]
        np.logical_and.at(tip, a, forward[a] >= forward[b])
        np.logical_and.at(tip, b, forward[b] >= forward[a])
    front = [int(v) for v in used if tip[v] and forward[v] > forward[used].min() + 0.6 * length]
    tips: list[int] = []
    for vertex in sorted(front, key=lambda v: -vertices[v, 0] * outward):
        if tips and abs(vertices[tips[-1], 0] - vertices[vertex, 0]) < TOE_SPACING:
            tips[-1] = max(tips[-1], vertex, key=lambda v: forward[v])
        else:
            tips.append(vertex)
    if len(tips) < 2:
        raise McldAnimError("The foot has no toes to cut along.")
    return tips


def cheapest_path(
    vertices: FloatArray,
    faces: IntArray,
    normals: FloatArray,
    direction: FloatArray,
    stops: list[int],
    taken: list[int],
) -> list[int]:
    """The cheapest path along edges through `stops` that prefers surfaces facing `direction` and avoids the vertices
    `taken`."""
    a, b = (
        np.concatenate([faces[:, k] for k in range(3)]),
        np.concatenate([faces[:, (k + 1) % 3] for k in range(3)]),
    )
    away = 1 - 0.5 * (normals[a] + normals[b]) @ direction
    cost = np.linalg.norm(vertices[a] - vertices[b], axis=1) * (0.05 + away**2)
    path = [stops[0]]
    for start, end in itertools.pairwise(stops):
        used = np.isin(a, taken + path[:-1]) | np.isin(b, taken + path[:-1])
        table = sparse.coo_matrix((cost + 1e3 * used, (a, b)), shape=(len(vertices), len(vertices))).tocsr()
        graph = table.maximum(table.T)
        _, before = dijkstra(graph, indices=start, return_predecessors=True)
        back = [end]
        while back[-1] != start:
            back.append(int(before[back[-1]]))
        path += back[-2::-1]
    return path


def cut_open(faces: IntArray, path: list[int], vertices: int) -> tuple[IntArray, IntArray]:
    """Cut along `path`, whose last vertex is not split. Returns the new faces, and the old vertex of each new one."""
    cut = {frozenset(edge) for edge in itertools.pairwise(path)}
    faces, origin = faces.copy(), list(range(vertices))
    around = defaultdict(list)
    for number, face in enumerate(faces):
        for vertex in face:
            around[int(vertex)].append(number)
    original = faces.copy()
    for vertex in path[:-1]:
        fan = around[vertex]
        spokes = [{int(v) for v in original[number]} - {vertex} for number in fan]
        joined = [
            [bool({v for v in one & other if frozenset((vertex, v)) not in cut}) for other in spokes] for one in spokes
        ]
        count, side = connected_components(sparse.csr_matrix(np.array(joined)), directed=False)
        for extra in range(1, count):
            origin.append(vertex)
            for number in np.array(fan)[side == extra]:
                faces[number][original[number] == vertex] = len(origin) - 1
    return faces, np.array(origin)


def map_foot(
    uv: FloatArray,
    vertices: FloatArray,
    faces: IntArray,
    labels: IntArray,
    owner: dict[tuple[int, int], int],
    official: OfficialCharts,
    side: str,
) -> None:
    """Fit the foot's chart to the official outline, in place."""
    part = FOOT_PART[side]
    inside = np.flatnonzero(labels == part)

    def neighbour(a: int, b: int) -> int:
        across = owner.get((b, a), -1)
        return int(labels[across]) if across >= 0 else OPEN_EDGE

    ring = boundary_loops(faces[inside], neighbour)[0]
    behind = [a for a, _, name in ring if name == LOWER_LEG_PARTS[side][0]]
    ankle = max(behind, key=lambda v: vertices[v, 1])
    runs = foot_path(vertices, faces[inside], ankle, side)
    path = runs[0] + runs[1][1:] + runs[2][1:]
    opened, origin = cut_open(faces[inside], path, len(vertices))
    named = {(a, b): name for a, b, name in ring}
    loop = boundary_loops(opened, lambda a, b: named.get((int(origin[a]), int(origin[b])), SEAM))[0]
    corners = [ankle, path[len(runs[0]) - 1], runs[2][0], path[-1]]
    ours = split_outline(loop, origin, corners)
    target = official.outline(part, {OPEN_EDGE: SEAM}, 0.0)
    landmarks = [SMPL_LANDMARKS[f"{name}.{side}"] for name in ("heel", "small_toe")]
    wanted = split_official(target, official.smpl, landmarks)
    pinned: dict[int, FloatArray] = {}
    for run, points in zip(ours, wanted, strict=True):
        pin_by_arc_length(pinned, run, vertices[origin], official.uv[points])
    uv[inside] = harmonic_map(vertices[origin], opened, pinned)[opened]


def split_outline(loop: list[tuple[int, int, int]], origin: IntArray, corners: list[int]) -> list[list[int]]:
    """The boundary of the opened foot as runs of vertices: leg segments, then the runs between the cut's corners."""
    start = next(k for k, (_, _, name) in enumerate(loop) if name != SEAM and loop[k - 1][2] == SEAM)
    loop = loop[start:] + loop[:start]
    return split_runs([(a, b, name) for a, b, name in loop], lambda vertex: int(origin[vertex]) in corners)


def split_official(segments: list[Segment], smpl: IntArray, corners: list[int]) -> list[list[int]]:
    """The official outline in the same runs."""
    edges = [(a, b, s.neighbour) for s in segments for a, b in itertools.pairwise(s.vertices)]
    start = next(k for k, (_, _, name) in enumerate(edges) if name != SEAM and edges[k - 1][2] == SEAM)
    runs = split_runs(edges[start:] + edges[:start], lambda point: int(smpl[point]) in corners)
    toes = next(k for k, run in enumerate(runs) if smpl[run[0]] == smpl[run[-1]] == corners[1])
    middle = len(runs[toes]) // 2  # both sides of the cut have the same vertices, so the cut ends in the middle
    return [*runs[:toes], runs[toes][: middle + 1], runs[toes][middle:], *runs[toes + 1 :]]


def split_runs(edges: list[tuple[int, int, int]], corner: Callable[[int], bool]) -> list[list[int]]:
    """Runs of vertices that end where the neighbour changes or, on the seam, at a corner."""
    runs: list[list[int]] = []
    previous = None
    for a, b, name in edges:
        if name != previous or (name == SEAM and corner(a)):
            runs.append([a])
        runs[-1].append(b)
        previous = name
    return runs
