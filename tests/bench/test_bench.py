"""`mcld-anim bench`: work is counted and repeated as said, and figures come in the form that others read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mcld_anim.bench.bench import BenchOptions, compared
from mcld_anim.bench.command import command_runs
from mcld_anim.bench.frames import preset_times
from mcld_anim.bench.networks import network_times, random_mcld
from mcld_anim.bench.timing import Timing, timed
from mcld_anim.cli.main import app
from mcld_anim.core.errors import UsageError
from mcld_anim.model.operations import step_operations
from mcld_anim.options.model import ModelOptions, load_model_options

CPU = torch.device("cpu")


def test_work_is_repeated_after_its_warm_up() -> None:
    calls: list[int] = []
    timing = timed(lambda: calls.append(1), 3, CPU, warm_up=2)
    assert (len(calls), len(timing.seconds)) == (5, 3)
    assert Timing((1.0, 2.0, 4.0)).median == 2.0
    assert Timing((1.0, 2.0, 4.0)).spread == 1.5


def test_the_operations_of_a_guided_step_are_those_of_stable_diffusion() -> None:
    """Two evaluations of a UNet of 0.80 TFLOP at 512x512 (diffusers' own figure), and the reference's keys."""
    published = step_operations(load_model_options("mcld_sd15"))
    assert 1.6e12 < published < 1.8e12
    assert step_operations(load_model_options("tiny")) < published / 200


def test_a_model_is_measured_in_every_part(small_options: ModelOptions) -> None:
    parts: list[str] = []
    found = network_times(small_options, CPU, torch.float32, repeats=2, batch=2, on_part=parts.append)
    assert parts == ["weights", "source", "step", "batch", "decode"]
    described = json.loads(json.dumps(found.described()))
    assert len(described["step"]["repeats"]) == len(described["source"]["repeats"]) == 2
    assert described["source_in_steps"] == pytest.approx(described["source"]["median"] / described["step"]["median"])
    assert described["gflops"] > 0
    assert described["batch_share"] > 0
    quick = network_times(small_options, CPU, torch.float32, repeats=2, batch=2, quick=True)
    assert (len(quick.step.seconds), quick.batch_share) == (1, None)


def test_random_weights_make_finite_numbers(small_options: ModelOptions) -> None:
    mcld = random_mcld(small_options, CPU, torch.float32)
    assert not any(tensor.is_meta for tensor in mcld.state_dict().values())
    latents = torch.ones(1, small_options.vae.latent_channels, *small_options.latent_size)
    with torch.inference_mode():
        made = mcld.vae.decode(latents)
    assert made.isfinite().all()
    assert made.std() > 0


def test_the_whole_command_is_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MCLD_ANIM_CACHE_GB")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    told: list[tuple[int, int]] = []
    runs = command_runs(
        tmp_path, 1, 1, ("--densepose", "tiny", "--offline", "--steps", "1"), lambda *at: told.append(at)
    )
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
    (first,), (again,) = runs.first, runs.again
    assert 0 < first.first_progress < first.first_frame < first.whole
    assert {"driving poses", "source"} <= set(first.stages)
    assert not {"driving poses", "source"} & set(again.stages)
    assert first.peak_bytes["main"] > 10**8
    assert json.loads(json.dumps(runs.described()))["first"]["seconds"]["whole"] == first.whole


def test_whole_frames_are_timed_by_preset(small_options: ModelOptions) -> None:
    told: list[tuple[int, int]] = []
    presets = "fast", "best"
    found = preset_times(small_options, CPU, torch.float32, presets, 2, 3, False, lambda *at: told.append(at))
    assert told == [(0, 2), (1, 2), (2, 2)]
    fast, best = (json.loads(json.dumps(found[name].described())) for name in presets)
    assert (fast["frames"], fast["compiling"], fast["peak_bytes"]) == (3, 0.0, None)
    assert (fast["steps"], best["steps"]) == (2, 6)
    for one in fast, best:
        assert one["seconds_per_frame"] == pytest.approx(one["synthesis"] + one["source"] / 3)
        assert one["synthesis"] > 0
        assert one["source"] > 0


def test_the_machine_is_measured_and_compared(tmp_path: Path) -> None:
    call = ["bench", "--part", "machine", "--repeats", "1", "--device", "cpu"]
    first = CliRunner().invoke(app, [*call, "--json", str(tmp_path / "old.json")])
    assert first.exit_code == 0, first.output
    content = json.loads((tmp_path / "old.json").read_text())
    assert set(content["matrix_gflops"]) >= {"float32"}
    assert content["peak_bytes"]["main"] > 0
    again = CliRunner().invoke(app, [*call, "--compare", str(tmp_path / "old.json")])
    assert "matrix_gflops.float32" in again.output
    assert "memory_gbps" in again.output


def test_ratios_are_of_what_both_have() -> None:
    old = {"a": 2.0, "b": {"c": 4.0, "d": 0.0, "spread": 1.0}, "text": "x", "on": True}
    new = {"a": 1.0, "b": {"c": 6.0, "d": 1.0, "spread": 2.0}, "more": 3.0, "on": True}
    assert compared(new, old) == {"a": 0.5, "b.c": 1.5}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"parts": ("stages",)}, "--part stages"),
        ({"device": "tpu"}, "--device tpu"),
        ({"repeats": 0}, "--repeats 0"),
        ({"batch": 1}, "--batch 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BenchOptions(**given)  # type: ignore[arg-type]


def test_a_comparison_needs_a_benchmark(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[1]")
    refused = CliRunner().invoke(app, ["bench", "--part", "machine", "--compare", str(tmp_path / "x.json")])
    assert refused.exit_code == 2
    assert "is no benchmark" in refused.output
