"""`eval light`: the renderer's lamp stands before the person, and so it is measured."""

from __future__ import annotations

import pytest

from mcld_anim.evaluate.light import LightOptions, light
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.source.photo_warp import ROUNDNESS


def test_a_lamp_before_the_person_is_measured(body_backend: BodyBackend) -> None:
    done: list[tuple[int, int]] = []
    found = light(LightOptions(people=1, poses=2), body_backend, lambda *count: done.append(count))
    assert done == [(1, 1)]
    assert found["pixels"] > 10_000
    assert found["edge_on"] == pytest.approx(-ROUNDNESS, abs=0.25)  # one person's lamp may stand anywhere else
    assert abs(found["up"]) < 0.4
    assert abs(found["sideways"]) < 0.4
