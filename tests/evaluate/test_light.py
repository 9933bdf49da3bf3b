"""`eval light`: pixels are compared where the photo shows them, and a known light is found through outliers."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.evaluate import light as module
from mcld_anim.evaluate.light import LightOptions, light
from mcld_anim.pose.body_backend import BodyBackend


def test_a_known_light_is_found_through_outliers(body_backend: BodyBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, done = np.random.default_rng(0), list[tuple[int, int]]()
    turned = rng.normal(0, 0.4, (20_000, 3))
    change = turned @ [0.02, -0.3, 0.12] + np.where(rng.random(20_000) < 0.2, rng.normal(0.5, 1, 20_000), 0)
    monkeypatch.setattr(module, "_compared", lambda *_: iter([(turned, change)]))
    found = light(LightOptions(people=2, poses=1), body_backend, lambda *count: done.append(count))
    assert done == [(1, 2), (2, 2)]
    assert found["pixels"] == 40_000
    assert [found["sideways"], found["edge_on"], found["up"]] == pytest.approx([0.02, -0.3, 0.12], abs=0.02)


def test_a_rendered_person_is_compared(body_backend: BodyBackend) -> None:
    assert light(LightOptions(people=1, poses=1), body_backend)["pixels"] > 5_000
