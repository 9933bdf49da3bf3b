"""The rehearsal at small size: every step of it, and that it notices what it is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mcld_anim.core.errors import UsageError, WeightsError
from mcld_anim.model.build import build_mcld
from mcld_anim.options.model import ModelOptions, load_model_options
from mcld_anim.setup import rehearsal
from mcld_anim.setup.rehearsal import Counted, Rehearsal, published_layout, rehearse
from mcld_anim.weights import store
from mcld_anim.weights.published import published_model


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_small_model_goes_all_the_way(small: ModelOptions, home: Path, dtype) -> None:
    stages: list[str] = []
    result = rehearse("mcld-sd15", dtype, small, stages.append)
    assert result.finite
    assert list(result.seconds) == stages
    assert len(stages) == 5
    assert result.peak_bytes > 10**8
    assert list(home.iterdir()) == []  # nothing is left
    read = {count.part: count.loaded for count in result.counts}
    mcld = build_mcld(small)
    assert read["vae"] == sum(value.numel() for value in mcld.vae.parameters())
    assert next(c for c in result.counts if c.part == "reference_unet").written > read["reference_unet"]


def test_the_tables_counts_are_those_of_the_published_size() -> None:
    layout = published_layout(load_model_options("mcld_sd15"))
    for file in published_model("mcld-sd15").files:
        shapes = {key: torch.Size(shape) for key, shape in layout[file.part].items() if "position_ids" not in key}
        assert sum(shape.numel() for shape in shapes.values()) == file.parameters, file.part


def test_a_full_disk_is_noticed_first(small: ModelOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(WeightsError, match="the rehearsal of mcld-sd15 needs"):
        rehearse("mcld-sd15", "float32", small)


def test_only_a_diffusion_model_can_be_rehearsed() -> None:
    with pytest.raises(UsageError, match="--random antelopev2 has no networks of this program"):
        rehearse("antelopev2", "float32")


def test_it_fails_on_too_much_memory_wrong_counts_and_nan() -> None:
    good = Rehearsal("x", "bfloat16", [Counted("a", 5, 4, 5)], {}, int(10.9e9), True)
    assert good.passed
    assert not replace(good, peak_bytes=int(11.1e9)).passed
    assert replace(good, peak_bytes=int(11.1e9), dtype="float32").passed
    assert not replace(good, counts=[Counted("a", 5, 4, 6)]).passed
    assert not replace(good, finite=False).passed


def test_published_weights_that_are_not_finite_do_not_pass(
    small: ModelOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def large(key: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        if key.endswith("position_ids"):
            return torch.arange(shape[1])[None]
        return torch.full(shape, 1e30)

    monkeypatch.setattr(rehearsal, "random_tensor", large)
    assert not rehearse("mcld-sd15", "float32", small).finite
