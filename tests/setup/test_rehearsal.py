"""The rehearsal at small size: every step, and the failures it must detect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mcld_anim.core.errors import UsageError, WeightsError
from mcld_anim.model.build import build_mcld
from mcld_anim.options.model import ModelOptions, load_model_options
from mcld_anim.setup import rehearsal
from mcld_anim.setup.rehearsal import ParameterCount, Rehearsal, published_layout, rehearse
from mcld_anim.weights import store
from mcld_anim.weights.published import published_model


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_small_model_passes_every_stage(small: ModelOptions, home: Path, dtype) -> None:
    stages: list[str] = []
    result = rehearse("mcld-sd15", dtype, small, stages.append)
    assert result.finite
    assert list(result.seconds) == stages
    assert len(stages) == 5
    assert result.peak_bytes > 10**8
    assert list(home.iterdir()) == []  # nothing is left behind
    read = {count.part: count.loaded for count in result.counts}
    mcld = build_mcld(small)
    assert read["vae"] == sum(value.numel() for value in mcld.vae.parameters())
    assert next(c for c in result.counts if c.part == "reference_unet").written > read["reference_unet"]


@pytest.mark.parametrize(("native", "dtype"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_the_faster_dtype_of_this_cpu(
    small: ModelOptions, monkeypatch: pytest.MonkeyPatch, native: bool, dtype: str
) -> None:
    monkeypatch.setattr(rehearsal, "cpu_multiplies_bfloat16", lambda: native)
    monkeypatch.setattr(rehearsal, "run_once", lambda chosen, result, on_stage: None)
    assert rehearse("mcld-sd15", options=small).dtype == dtype


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(UsageError, match="--dtype int8 is not known"):
        rehearse("mcld-sd15", "int8")


def test_the_table_has_the_published_parameter_counts() -> None:
    layout = published_layout(load_model_options("mcld_sd15"))
    for file in published_model("mcld-sd15").files:
        shapes = {key: torch.Size(shape) for key, shape in layout[file.part].items() if "position_ids" not in key}
        assert sum(shape.numel() for shape in shapes.values()) == file.parameters, file.part


def test_a_full_disk_is_detected_first(small: ModelOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(WeightsError, match="the rehearsal of mcld-sd15 needs"):
        rehearse("mcld-sd15", "float32", small)


def test_only_a_diffusion_model_can_be_rehearsed() -> None:
    with pytest.raises(UsageError, match="--random antelopev2 has no networks of this program"):
        rehearse("antelopev2", "float32")


def test_excess_memory_wrong_counts_and_nan_fail() -> None:
    good = Rehearsal("x", "bfloat16", [ParameterCount("a", 5, 4, 5)], {}, int(10.9e9), True)
    assert good.passed
    assert not replace(good, peak_bytes=int(11.1e9)).passed
    assert replace(good, peak_bytes=int(11.1e9), dtype="float32").passed
    assert not replace(good, counts=[ParameterCount("a", 5, 4, 6)]).passed
    assert not replace(good, finite=False).passed


def test_weights_that_are_not_finite_fail(small: ModelOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    def large(key: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        if key.endswith("position_ids"):
            return torch.arange(shape[1])[None]
        return torch.full(shape, 1e30)

    monkeypatch.setattr(rehearsal, "random_tensor", large)
    assert not rehearse("mcld-sd15", "float32", small).finite
