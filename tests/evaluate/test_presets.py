"""`synth presets`: each preset is measured with its own settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcld_anim.evaluate.presets import PresetEvaluationOptions, denoiser_rows, preset_metrics, preset_settings
from mcld_anim.options.model import load_model_options
from mcld_anim.options.preset import PRESETS


def test_the_cost_of_the_published_model_is_counted_in_rows() -> None:
    published = load_model_options("mcld_sd15")
    rows = {name: denoiser_rows(preset_settings(name, published), published) for name in PRESETS}
    assert rows == {"fast": 10, "balanced": 40, "best": 80}
    half = replace(preset_settings("balanced", published), guidance_range=(0.0, 0.5))
    assert denoiser_rows(half, published) == 30


def test_presets_are_measured_on_a_dance() -> None:
    found = preset_metrics(PresetEvaluationOptions(people=1, frames=2))
    assert {name: metrics["steps"] for name, metrics in found.items()} == {"fast": 1, "balanced": 2, "best": 4}
    for metrics in found.values():
        assert metrics["psnr"] > metrics["person_psnr"] > 15
        assert 0.5 < metrics["ssim"] < 1
        assert metrics["seconds_per_frame"] > 0
    assert len({metrics["psnr"] for metrics in found.values()}) == 3
    assert found["fast"]["psnr"] == pytest.approx(found["best"]["psnr"], abs=3)
