"""The IUV of a fitted body: the posed mesh in its place, with its landmarks on it, and without hidden arms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import BodyMotion, BodyShape, project
from mcld_anim.body.rig import load_body
from mcld_anim.body.skeleton import RELAXED

SIZE = (240, 180)
ARMS = {"L": {4, 19, 21}, "R": {3, 20, 22}}
"""DensePose's parts of hand and forearm."""


def parts_of(iuv: np.ndarray) -> set[int]:
    return set(np.unique(iuv[..., 0]).tolist()) - {0}


def test_the_mesh_is_drawn_where_it_is_projected(standing: BodyMotion) -> None:
    painter = BodyPainter(standing.shape)
    iuv = painter.iuv(standing, 0)
    assert (iuv.shape, iuv.dtype) == ((*SIZE, 3), np.uint8)
    vertices = torch.from_numpy(painter.posed(standing.controls[0]))[None]
    places = project(vertices, torch.from_numpy(standing.camera), standing.focal, SIZE)[0][0].numpy()
    rows, columns = np.nonzero(iuv[..., 0])
    assert np.allclose([columns.min(), rows.min()], places.min(0), atol=1.5)
    assert np.allclose([columns.max(), rows.max()], places.max(0), atol=1.5)
    # Inside a part the IUV is the chart's at the nearest vertex.
    body = load_body()
    front = np.flatnonzero((body.part == 2) & (np.abs(vertices[0].numpy()[body.faces[:, 0], 0]) > 0.02))
    corners = places[body.faces[front, 0]].astype(int)
    shown = iuv[corners[:, 1], corners[:, 0]]
    right = shown[:, 0] == 2
    assert right.mean() > 0.9
    assert np.abs(shown[right, 1:] / 255 - body.uv[front[right], 0]).mean() < 0.02


def test_the_landmarks_lie_on_the_drawn_body(standing: BodyMotion, controls: Callable) -> None:
    raised = controls({"upperarm.L": (0.0, -1.2, 0.0)}).astype(np.float32)
    iuv = BodyPainter(standing.shape).iuv(replace(standing, controls=raised), 0)
    xy = replace(standing, controls=raised).landmarks()[0][0]
    expected = {0: {23, 24}, 15: {4, 19, 21}, 16: {3, 20, 22}, 25: {8, 10, 12, 14}, 26: {7, 9, 11, 13}}
    for landmark, parts in expected.items():
        x, y = xy[landmark].astype(int)
        assert parts_of(iuv[y - 3 : y + 4, x - 3 : x + 4]) & parts, landmark
    assert xy[15, 1] < xy[11, 1] < xy[16, 1]  # the left arm is up


def test_fingers_bend_as_the_motion_says_and_nothing_else_moves(standing: BodyMotion) -> None:
    painter, body = BodyPainter(standing.shape), load_body()
    relaxed = painter.posed(standing.controls[0])
    assert np.allclose(painter.posed(standing.controls[0], np.array([RELAXED, RELAXED])), relaxed, atol=1e-5)
    fist = painter.posed(standing.controls[0], np.array([[0.5, 1.4, 1.4, 1.4, 1.4], RELAXED]))
    moved = np.linalg.norm(fist - relaxed, axis=1)
    left = body.weight("hand", "finger", side="L") > 0
    assert moved[~left].max() < 1e-6
    tips = body.weight("finger3-3.L") > 0.9
    assert moved[tips].min() > 0.02
    wrist = body.weight("hand.L") > 0.99
    assert moved[wrist].max() < 1e-3
    shut = replace(standing, fingers=np.array([[[0.5, 1.4, 1.4, 1.4, 1.4], RELAXED]], np.float32))
    drawn = painter.drawn(shut, 0)
    assert np.linalg.norm(drawn.points[tips] - painter.drawn(standing, 0).points[tips], axis=1).min() > 1  # pixels
    # Clothes of hands stay with them.
    coat = painter.bent(np.full_like(painter.rest, 0.01))
    assert np.allclose(
        coat.posed(shut.controls[0], shut.fingers[0]) - fist, coat.posed(shut.controls[0]) - relaxed, atol=1e-5
    )


def test_normals_point_outwards_and_are_drawn_where_the_surface_is(standing: BodyMotion) -> None:
    drawn = BodyPainter(standing.shape).drawn(standing, 0)
    shown, inside = drawn.over(drawn.normals), drawn.inside
    assert not shown[~inside].any()
    assert np.linalg.norm(shown[inside], axis=1).mean() == pytest.approx(1, abs=0.03)
    assert (shown[inside][:, 1] < 0.2).mean() > 0.98  # what is seen faces the camera
    rows, columns = np.nonzero(drawn.whole(inside))
    x, z = shown[inside][:, 0], shown[inside][:, 2]
    head = rows < rows.min() + 0.1 * np.ptp(rows)
    assert np.corrcoef(x[head], columns[head])[0, 1] > 0.8  # round
    assert z[rows < rows.min() + 4].mean() > 0.5


def test_a_larger_person_nearer_by_is_larger(standing: BodyMotion) -> None:
    area = np.count_nonzero(BodyPainter(standing.shape).iuv(standing, 0)[..., 0])
    large = BodyShape(standing.shape.coefficients, 1.1)
    larger = np.count_nonzero(BodyPainter(large).iuv(replace(standing, shape=large), 0)[..., 0])
    assert larger / area == pytest.approx(1.21, rel=0.04)


@pytest.mark.parametrize("hidden", ["", "L", "R", "LR"])
def test_hidden_arms_are_left_out_and_nothing_else(standing: BodyMotion, hidden: str) -> None:
    painter = BodyPainter(standing.shape)
    everything, shown = painter.iuv(standing, 0), painter.iuv(standing, 0, hidden)
    gone = set().union(*(ARMS[side] for side in hidden)) if hidden else set()
    left = np.isin(everything[..., 0], list(gone))
    assert left.any() == bool(hidden)
    assert parts_of(shown) >= parts_of(everything) - gone
    # The border between forearm and upper arm lies at the elbow, not on the charts' edge.
    remaining = np.count_nonzero(np.isin(shown[..., 0], list(gone)))
    assert remaining < 0.2 * np.count_nonzero(left) + 1
    torso = np.isin(everything[..., 0], [1, 2, 23, 24])
    assert np.array_equal(everything[torso], shown[torso])


def test_who_is_outside_the_picture_is_not_drawn(standing: BodyMotion) -> None:
    painter = BodyPainter(standing.shape)
    aside = replace(standing, camera=standing.camera + np.array([5, 0, 0], np.float32))
    assert not painter.iuv(aside, 0).any()
    half = painter.iuv(replace(standing, camera=standing.camera + np.array([0, 0, -1.0], np.float32)), 0)
    rows = np.flatnonzero(half[..., 0].any(1))
    assert rows[-1] == SIZE[0] - 1
    assert parts_of(half) & {23, 24}
