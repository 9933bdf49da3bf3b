"""U, V of every triangle corner of our body, fitted to DensePose's official chart outlines; build time only.

For the 20 parts other than hands and feet, the outline is pinned to the official one by arc length, segment by segment
(a segment borders one neighbouring part). The inside follows from a harmonic map with cotangent weights, and a smooth
warp moves eyes and ears to their official positions. Hands are mapped by their fingertips. Feet are cut open and then
pinned like the other parts (`feet.py`).
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from mcld_anim.body.feet import map_foot
from mcld_anim.body.harmonic import harmonic_map, pin_by_arc_length
from mcld_anim.body.official_charts import (
    OPEN_EDGE,
    SEAM,
    SMPL_LANDMARKS,
    UNNAMED,
    OfficialCharts,
    Segment,
    boundary_loops,
    compress_loop,
    load_official_charts,
)
from mcld_anim.body.part_labels import (
    HAND_PART,
    HEAD_PART,
    Skeleton,
    half_edges,
    label_faces,
    unit,
)
from mcld_anim.body.rig import FloatArray, IntArray
from mcld_anim.core.errors import McldAnimError

HARMONIC_PARTS = (1, 2, *range(7, 25))
THRESHOLDS = (0.035, 0.0, 0.01, 0.02, 0.05, 0.07, 0.09, 0.12)
"""Thresholds of `compress_loop`, tried in order until the cyclic order of neighbours is the official one: small
contacts differ between meshes."""
LANDMARK_WARP = 0.16
"""Radius of the warp that moves a landmark into place, chart units."""


def fit_charts(
    vertices: FloatArray,
    faces: IntArray,
    weights: FloatArray,
    joints: FloatArray,
    bones: tuple[str, ...],
    eyes: np.ndarray,
) -> tuple[IntArray, FloatArray]:
    """Part (faces,) 1..24 of every triangle, and U, V (faces, 3, 2) in [0, 1] of its corners."""
    skeleton = Skeleton(vertices, weights, joints, bones)
    official = load_official_charts()
    labels = label_faces(skeleton, faces)
    owner = half_edges(faces)
    uv = np.full((len(faces), 3, 2), np.nan)
    for part in HARMONIC_PARTS:
        inside = np.flatnonzero(labels == part)
        mapped = map_part(part, skeleton, faces, labels, owner, official, eyes)
        uv[inside] = mapped[faces[inside]]
    for side in "LR":
        map_hand(uv, skeleton, faces, labels, official, side)
        map_foot(uv, vertices, faces, labels, owner, official, side)
    map_eyeballs(uv, labels, vertices, faces, eyes)
    if np.isnan(uv).any():
        raise McldAnimError("The charts left triangles without U, V: the body has parts the fit does not know.")
    return labels, np.clip(uv, 0, 1)


def map_part(
    part: int,
    skeleton: Skeleton,
    faces: IntArray,
    labels: IntArray,
    owner: dict[tuple[int, int], int],
    official: OfficialCharts,
    eyes: np.ndarray,
) -> FloatArray:
    """U, V (vertices, 2) on the chart of `part`; NaN for vertices that are not on it."""
    head = part in HEAD_PART.values()
    other_half = sum(HEAD_PART.values()) - part
    rename = {OPEN_EDGE: UNNAMED, SEAM: other_half} if head else {OPEN_EDGE: UNNAMED}
    target = official.outline(part, rename)
    skin = np.flatnonzero((labels == part) & ~eyes[faces[:, 0]])

    def neighbour(a: int, b: int) -> int:
        across = owner.get((b, a), -1)
        return int(labels[across]) if across >= 0 else OPEN_EDGE

    loop = boundary_loops(faces[skin], neighbour)[0]
    ours = match_outline(part, loop, skeleton.vertices, rename, target)
    used = np.unique(faces[skin])
    nose = int(used[skeleton.vertices[used, 1].argmin()]) if head else -1
    pinned: dict[int, FloatArray] = {}
    for segment, wanted in zip(ours, target, strict=True):
        pairs = [(segment.vertices, wanted.vertices)]
        if head and segment.neighbour == other_half:
            # The midline is also pinned at the tip of the nose, which both meshes have on it.
            smpl = official.smpl[wanted.vertices].tolist()
            if nose in segment.vertices and SMPL_LANDMARKS["nose"] in smpl:
                i, j = segment.vertices.index(nose), smpl.index(SMPL_LANDMARKS["nose"])
                pairs = [
                    (segment.vertices[: i + 1], wanted.vertices[: j + 1]),
                    (segment.vertices[i:], wanted.vertices[j:]),
                ]
        for vertices, points in pairs:
            pin_by_arc_length(pinned, vertices, skeleton.vertices, official.uv[points])
    uv = harmonic_map(skeleton.vertices, faces[skin], pinned)
    if head:
        outline = np.array(list(pinned.values()))
        warp_landmarks(uv, outline, *head_landmarks(part, skeleton, faces[skin], official))
    return uv


def match_outline(
    part: int,
    loop: list[tuple[int, int, int]],
    positions: FloatArray,
    rename: dict[int, int],
    target: list[Segment],
) -> list[Segment]:
    """Our outline in the official order of neighbours, from the official starting point."""
    wanted = [segment.neighbour for segment in target]
    for threshold in THRESHOLDS:
        ours = compress_loop(loop, positions, rename, threshold)
        names = [segment.neighbour for segment in ours]
        for turn in range(len(names)):
            if names[turn:] + names[:turn] == wanted:
                return ours[turn:] + ours[:turn]
    raise McldAnimError(f"Part {part} of the body has another order of neighbours than the official chart {wanted}.")


def head_landmarks(
    part: int, skeleton: Skeleton, faces: IntArray, official: OfficialCharts
) -> tuple[list[int], list[FloatArray]]:
    """Our eye and ear vertices on half a head, and their positions on the official chart."""
    side = "R" if part == HEAD_PART["R"] else "L"
    used = np.unique(faces)
    places = skeleton.vertices[used]
    in_front_of_eye = skeleton.joint(f"eye.{side}") + np.array([0.0, -0.015, 0.0])
    eye = int(used[np.linalg.norm(places - in_front_of_eye, axis=1).argmin()])
    ear = int(used[np.abs(places[:, 0]).argmax()])
    return [eye, ear], [official.landmark(f"eye.{side}", part), official.landmark(f"ear.{side}", part)]


def warp_landmarks(uv: FloatArray, outline: FloatArray, landmarks: list[int], goals: list[FloatArray]) -> None:
    """Move `landmarks` to `goals`, in place, by Gaussian displacements that vanish at the outline."""
    inside = np.flatnonzero(~np.isnan(uv[:, 0]))
    border = cKDTree(outline)
    for _ in range(8):  # small steps keep the map injective
        for vertex, goal in zip(landmarks, goals, strict=True):
            missing = goal - uv[vertex]
            distance, _ = border.query(uv[inside])
            fade = np.clip(distance / 0.08, 0, 1)
            near = np.exp(-((uv[inside] - uv[vertex]) ** 2).sum(1) / (2 * LANDMARK_WARP**2))
            uv[inside] += 0.5 * missing * (near * fade)[:, None]


def map_hand(
    uv: FloatArray, skeleton: Skeleton, faces: IntArray, labels: IntArray, official: OfficialCharts, side: str
) -> None:
    """Map back and palm side by side, in place, by an affine map from four fingertips and the wrist, mirrored for the
    palm."""
    part, vertices = HAND_PART[side], skeleton.vertices
    inside = np.flatnonzero(labels == part)
    wrist = skeleton.joint(f"hand.{side}")
    along = unit(skeleton.joint(f"finger3-1.{side}") - wrist)
    across: FloatArray = skeleton.joint(f"finger2-1.{side}") - skeleton.joint(f"finger5-1.{side}")
    across = unit(across - (across @ along) * along)
    dorsal: FloatArray = np.cross(along, across)
    if dorsal[2] + dorsal[0] * (1 if side == "L" else -1) < 0:
        dorsal = -dorsal
    flat = np.stack([(vertices - wrist) @ along, (vertices - wrist) @ across], 1)
    used = np.unique(faces[inside])
    tips, goals = [], []
    for finger, name in (
        ("finger1", "thumb"),
        ("finger2", "index"),
        ("finger3", "middle"),
        ("finger5", "pinky"),
    ):
        last = used[skeleton.weight(f"{finger}-3", side=side)[used] > 0.5]
        direction = skeleton.joint(f"{finger}-3.{side}") - skeleton.joint(f"{finger}-2.{side}")
        tips.append(flat[last[((vertices[last] - wrist) @ direction).argmax()]])
        goals.append(official.landmark(f"{name}.{side}", part))
    border = {segment.neighbour: official.uv[segment.vertices].mean(0) for segment in official.outline(part, {}, 0.0)}
    back_border, palm_border = border[21 if side == "L" else 22], border[19 if side == "L" else 20]
    source = np.array([*tips, [flat[used, 0].min(), 0.0]])
    affine = np.linalg.lstsq(np.c_[source, np.ones(5)], np.array([*goals, back_border]), rcond=None)[0]
    back = np.c_[flat, np.ones(len(flat))] @ affine
    palm = back.copy()
    palm[:, 0] = back_border[0] + palm_border[0] - palm[:, 0]
    corner = vertices[faces[inside]]
    outward = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]) @ dorsal
    uv[inside] = np.where((outward > 0)[:, None, None], back[faces[inside]], palm[faces[inside]])


def map_eyeballs(uv: FloatArray, labels: IntArray, vertices: FloatArray, faces: IntArray, eyes: np.ndarray) -> None:
    """Give eyeballs the U, V of the nearest skin on their half of the head, in place."""
    ball = eyes[faces[:, 0]]
    labels[ball] = np.where(vertices[faces[ball]].mean(1)[:, 0] < 0, HEAD_PART["R"], HEAD_PART["L"])
    for part in HEAD_PART.values():
        skin = np.flatnonzero((labels == part) & ~ball)
        corners, where = faces[skin].ravel(), uv[skin].reshape(-1, 2)
        nearest = cKDTree(vertices[corners])
        mine = np.flatnonzero((labels == part) & ball)
        uv[mine] = where[nearest.query(vertices[faces[mine]])[1]]
