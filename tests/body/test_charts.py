"""Our charts agree with DensePose's official ones where they can be compared."""

from collections import Counter

import numpy as np
import pytest

from mcld_anim.body.charts import HARMONIC_PARTS, match_outline
from mcld_anim.body.official_charts import (
    OPEN_EDGE,
    SEAM,
    UNNAMED,
    boundary_loops,
    load_official_charts,
    signed_areas,
)
from mcld_anim.body.part_labels import half_edges
from mcld_anim.body.rig import load_body
from mcld_anim.synthetic.anatomy import anatomy


@pytest.fixture(scope="module")
def official():
    return load_official_charts()


def test_every_triangle_has_a_part_and_uv():
    body = load_body()
    assert set(np.unique(body.part)) == set(range(1, 25))
    assert np.isfinite(body.uv).all()
    assert body.uv.min() >= 0
    assert body.uv.max() <= 1


@pytest.fixture(scope="module")
def edge_owner():
    return half_edges(load_body().faces)


@pytest.mark.parametrize("part", range(1, 25))
def test_triangles_turn_the_official_way(official, part):
    body = load_body()
    triangles = body.uv[(body.part == part) & ~body.eyes[body.faces[:, 0]]]
    agree = np.mean(np.sign(signed_areas(triangles)) == official.orientation(part))
    assert agree > (0.94 if part in (5, 6, 23, 24) else 0.97)  # toes fold a little, and the mouth has an inside


@pytest.mark.parametrize("part", HARMONIC_PARTS)
def test_neighbours_come_in_the_official_order(official, edge_owner, part):
    """`match_outline` raises if no threshold gives the official cyclic order of neighbouring parts."""
    body = load_body()
    rename = {OPEN_EDGE: UNNAMED, SEAM: 47 - part} if part >= 23 else {OPEN_EDGE: UNNAMED}

    def neighbour(a: int, b: int) -> int:
        across = edge_owner.get((b, a), -1)
        return int(body.part[across]) if across >= 0 else OPEN_EDGE

    skin = (body.part == part) & ~body.eyes[body.faces[:, 0]]
    target = official.outline(part, rename)
    loop = boundary_loops(body.faces[skin], neighbour)[0]
    ours = match_outline(part, loop, body.mean_vertices, rename, target)
    assert [segment.neighbour for segment in ours] == [segment.neighbour for segment in target]


def place(vertex: int) -> tuple[int, np.ndarray]:
    """Part of most triangles at a vertex, and their mean U, V on it."""
    body = load_body()
    corners = np.argwhere(body.faces == vertex)
    part = Counter(int(body.part[face]) for face, _ in corners).most_common(1)[0][0]
    return part, np.mean([body.uv[face, k] for face, k in corners if body.part[face] == part], axis=0)


def test_landmarks_that_the_fit_does_not_use_land_in_the_official_places(official):
    body, places = load_body(), anatomy()
    vertices = body.mean_vertices
    chest = (places.field[:, 3] < -0.3) & (places.field[:, 7] < 0.3) & (vertices[:, 1] < 0)
    for side, sign in (("L", 1), ("R", -1)):
        x, height = vertices[:, 0] * sign, vertices[:, 2]
        near = chest & (x > 0.05) & (x < 0.12)
        near &= (height > places.shoulder - 0.16) & (height < places.shoulder - 0.03)
        candidates = np.flatnonzero(near)
        part, uv = place(int(candidates[vertices[candidates, 1].argmin()]))
        assert part == 2
        assert np.linalg.norm(uv - official.landmark(f"nipple.{side}", 2)) < 0.06


def test_eyes_and_nose_are_in_the_official_places(official):
    body, places = load_body(), anatomy()
    skin = np.flatnonzero(~body.eyes & (places.field[:, 7] > 0.5))
    for side, sign, part in (("R", -1, 23), ("L", 1, 24)):
        eye = places.eye * (sign, 1, 1) + (0, -0.015, 0)
        vertex = skin[np.linalg.norm(body.mean_vertices[skin] - eye, axis=1).argmin()]
        found, uv = place(int(vertex))
        assert found == part
        assert np.linalg.norm(uv - official.landmark(f"eye.{side}", part)) < 0.01
    nose = skin[body.mean_vertices[skin, 1].argmin()]
    found, uv = place(int(nose))
    assert np.linalg.norm(uv - official.landmark("nose", found)) < 0.01


@pytest.mark.parametrize(("side", "sign", "part"), [("L", 1, 5), ("R", -1, 6)])
def test_the_big_toe_is_near_its_official_place(official, side, sign, part):
    """The official landmark is on top of the toe and ours is its tip, so they are close but not equal."""
    body = load_body()
    foot = np.unique(body.faces[body.part == part])
    inner = foot[body.mean_vertices[foot, 0] * sign < np.percentile(body.mean_vertices[foot, 0] * sign, 25)]
    tip = inner[body.mean_vertices[inner, 1].argmin()]
    uv = np.concatenate([body.uv[face, k][None] for face, k in np.argwhere(body.faces == tip)]).mean(0)
    assert np.linalg.norm(uv - official.landmark(f"toe.{side}", part)) < 0.12


def test_left_and_right_mirror_each_other():
    body = load_body()
    area = {part: float((body.part == part).sum()) for part in range(1, 25)}
    for right, left in ((3, 4), (6, 5), (7, 8), (9, 10), (11, 12), (13, 14), (16, 15), (18, 17), (23, 24)):
        assert area[right] == pytest.approx(area[left], rel=0.08)
