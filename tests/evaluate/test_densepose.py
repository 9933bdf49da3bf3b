"""The estimator's metrics: exact IUV is perfect; errors and people found in empty scenes count against it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mcld_anim.cli.synth import app
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import UsageError
from mcld_anim.evaluate.densepose import EstimatorEvaluationOptions, estimator_metrics, is_from_behind
from mcld_anim.pose.backends import PoseEstimate, estimate_of
from mcld_anim.synthetic.person import Person, render
from mcld_anim.synthetic.views import SOURCE_VIEWS, draw_shots, person_background

FIRST, PEOPLE, VIEWS, SIZE = 970_002, 3, 4, 64
OPTIONS = EstimatorEvaluationOptions(PEOPLE, VIEWS, scenes=0, first_seed=FIRST, size=SIZE)


class Oracle:
    """Knows the IUV of every measured picture, and finds a person in every picture that it does not know."""

    name = "oracle"

    def __init__(self, spoil: int = 0) -> None:
        self.known: dict[bytes, Iuv] = {}
        for seed in range(FIRST, FIRST + PEOPLE):
            person = Person.from_seed(seed)
            for shot in draw_shots(person, SOURCE_VIEWS, VIEWS):
                truth = render(person, shot.pose, shot.view, shot.light, person_background(person, SIZE), SIZE)
                iuv = truth.iuv.copy()
                iuv[: spoil * SIZE // 4] = 0
                self.known[truth.picture.tobytes()] = iuv

    def estimate(self, pictures: Sequence[Picture]) -> list[list[PoseEstimate]]:
        everywhere = np.full((SIZE, SIZE, 3), 1, np.uint8)
        seen = [estimate_of(self.known.get(picture.tobytes(), everywhere), 0.9) for picture in pictures]
        return [[one] if one is not None else [] for one in seen]


def test_exact_iuv_is_perfect_in_every_group() -> None:
    metrics = estimator_metrics(replace(OPTIONS, scenes=2), Oracle())
    kinds = {Person.from_seed(FIRST + n).identity.outfit.kind == "trousers" for n in range(PEOPLE)}
    assert kinds == {True, False}
    for group in ("", "trousers_", "skirts_"):
        assert metrics[f"{group}densepose_part_accuracy"] == metrics[f"{group}densepose_foreground_iou"] == 1
        assert metrics[f"{group}densepose_uv_error"] == 0
    assert (metrics["found_rate"], metrics["certainty_low"]) == (1, 0.9)
    assert (metrics["scene_found_rate"], metrics["scene_certainty_high"]) == (1, 0.9)


def test_missed_pixels_lower_the_metrics() -> None:
    metrics = estimator_metrics(OPTIONS, Oracle(spoil=2))
    assert 0.2 < metrics["densepose_part_accuracy"] < 0.8
    assert metrics["densepose_part_accuracy"] == pytest.approx(metrics["densepose_foreground_iou"])
    assert not any(name.startswith("scene") for name in metrics)


def test_a_turned_person_is_seen_from_behind() -> None:
    iuv = np.zeros((4, 4, 3), np.uint8)
    iuv[:3, :, 0], iuv[3, :, 0] = 1, 2
    assert is_from_behind(iuv[..., 0])
    iuv[:2, :, 0] = 2
    assert not is_from_behind(iuv[..., 0])


def test_the_command_measures_the_embedded_estimator(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)).save(photos / "noise.png")
    arguments = ["densepose", "--people", "2", "--views", "2", "--scenes", "1", "--seed", "970000"]
    report = tmp_path / "metrics.json"
    result = CliRunner().invoke(app, [*arguments, "--backgrounds", str(photos), "--json", str(report)])
    assert result.exit_code == 0, result.output
    metrics = json.loads(report.read_text())
    assert 0.6 < metrics["densepose_part_accuracy"] < 1
    assert metrics["found_rate"] > 0.7
    assert "scene_found_rate" in metrics
    refused = CliRunner().invoke(app, [*arguments[:-1], "12"])
    assert isinstance(refused.exception, UsageError)
