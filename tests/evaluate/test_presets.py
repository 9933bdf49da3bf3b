"""`synth presets`: each preset is measured with its own settings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcld_anim.evaluate.presets import PresetEvaluationOptions, denoiser_operations, preset_metrics
from mcld_anim.model.operations import step_operations
from mcld_anim.options.model import load_model_options
from mcld_anim.sampling.settings import preset_settings


def test_the_cost_of_the_published_model_is_counted() -> None:
    published = load_model_options("mcld_sd15")
    plain, guided = (step_operations(published, guided) for guided in (False, True))
    balanced = preset_settings("balanced", published)
    assert denoiser_operations(balanced, published) == 20 * guided
    assert denoiser_operations(preset_settings("best", published), published) == 40 * guided
    fast = denoiser_operations(preset_settings("fast", published), published)
    assert fast == 5 * (plain + step_operations(published, False, shallow=True))
    assert fast < 0.65 * 10 * plain
    assert denoiser_operations(replace(balanced, guidance=1.0), published) == 20 * plain
    half = replace(balanced, guidance_range=(0.0, 0.5))
    assert denoiser_operations(half, published) == 10 * (plain + guided)
    shallow = step_operations(published, True, shallow=True)
    assert denoiser_operations(replace(balanced, reuse_features=3), published) == 7 * guided + 13 * shallow


def test_presets_are_measured_on_a_dance() -> None:
    found = preset_metrics(PresetEvaluationOptions(people=1, frames=2))
    assert {name: metrics["steps"] for name, metrics in found.items()} == {"fast": 1, "balanced": 2, "best": 4}
    for metrics in found.values():
        assert metrics["psnr"] > metrics["person_psnr"] > 15
        assert 0.5 < metrics["ssim"] < 1
        assert metrics["seconds_per_frame"] > 0
    assert len({metrics["psnr"] for metrics in found.values()}) == 3
    assert found["fast"]["psnr"] == pytest.approx(found["best"]["psnr"], abs=3)
