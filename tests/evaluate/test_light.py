"""`eval light`: the renderer's lamp stands before and above the person, and so it is measured."""

from __future__ import annotations

import pytest

from mcld_anim.evaluate.light import LightOptions, light
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.source.photo_warp import LIGHT_FROM_ABOVE, ROUNDNESS


def test_light_from_before_and_above_is_measured(body_backend: BodyBackend) -> None:
    done: list[tuple[int, int]] = []
    found = light(LightOptions(people=1, poses=2), body_backend, lambda *count: done.append(count))
    assert done == [(1, 1)]
    assert found["pixels"] > 10_000
    assert found["up"] == pytest.approx(LIGHT_FROM_ABOVE, abs=0.15)
    assert found["edge_on"] == pytest.approx(-ROUNDNESS, abs=0.25)
    assert abs(found["sideways"]) < 0.25
