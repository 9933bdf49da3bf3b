"""Two drawings of one mesh: where the surface lies in the other, and whether it is seen there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mcld_anim.body.correspondence import correspond, correspond_bodies
from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import BodyMotion


def test_a_drawing_is_where_it_is(standing: BodyMotion, painter: BodyPainter) -> None:
    drawn = painter.drawn(standing, 0)
    places, seen = drawn.seen_in(drawn)
    rows, columns = np.nonzero(drawn.inside)
    assert np.allclose(places, np.stack([columns, rows], 1) + drawn.corner + 0.5, atol=0.05)
    assert (seen > 0).mean() > 0.9  # the rest is at a grazing angle
    assert (seen == 1).mean() > 0.7


def test_it_moves_with_the_camera(standing: BodyMotion, painter: BodyPainter) -> None:
    drawn = painter.drawn(standing, 0)
    moved = painter.drawn(replace(standing, camera=np.array([[0.2, 3.2, 0.0]], np.float32)), 0)
    found = correspond_bodies(moved, drawn)
    shift = standing.focal * 0.2 / 3.2
    assert np.median(found.offset[found.found][:, 0]) == pytest.approx(-shift, abs=1)
    assert np.median(found.offset[found.found][:, 1]) == pytest.approx(0, abs=0.3)
    assert not found.offset[~found.found].any()


def test_a_back_is_not_seen_from_the_front(standing: BodyMotion, painter: BodyPainter, controls: Callable) -> None:
    turned = replace(standing, controls=controls({"root": (0, 0, np.pi)}).astype(np.float32))
    back, front = painter.drawn(turned, 0), painter.drawn(standing, 0)
    assert (back.seen_in(front)[1] > 0).mean() < 0.06


def test_what_is_hidden_or_left_out_is_not_seen(standing: BodyMotion, painter: BodyPainter, controls: Callable) -> None:
    before = controls({"upperarm.L": (0, 0, -1.2), "lowerarm.L": (0, 0, -1.2)}).astype(np.float32)
    folded, open_arms = painter.drawn(replace(standing, controls=before), 0), painter.drawn(standing, 0)
    places, seen = open_arms.seen_in(folded)
    x, y = (places - folded.corner).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < folded.inside.shape[1]) & (y < folded.inside.shape[0])
    arm = np.zeros(len(places), bool)
    arm[inside] = np.isin(folded.iuv[folded.box][y[inside], x[inside], 0], [4, 15, 17, 19, 21])
    chest = open_arms.iuv[open_arms.box][open_arms.inside][:, 0] == 2
    assert (arm & chest).sum() > 30
    assert (seen[arm & chest] > 0).mean() < 0.2
    hidden = painter.drawn(standing, 0, "L")
    forearm = np.isin(open_arms.iuv[open_arms.box][open_arms.inside][:, 0], [4, 19, 21])
    assert (open_arms.seen_in(hidden)[1][forearm] > 0).mean() < 0.2


def test_meshes_and_iuv_agree(standing: BodyMotion, painter: BodyPainter, controls: Callable) -> None:
    raised = replace(standing, controls=controls({"upperarm.L": (0, -0.3, 0)}).astype(np.float32))
    now, before = painter.drawn(raised, 0), painter.drawn(standing, 0)
    exact, looked_up = correspond_bodies(now, before), correspond(now.iuv, before.iuv)
    both = exact.found & looked_up.found
    assert both.sum() > 0.8 * looked_up.found.sum()
    assert np.median(np.abs(exact.offset[both] - looked_up.offset[both])) < 0.6
