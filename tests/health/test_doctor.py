"""All checks on this machine and with parts missing; `mcld-anim doctor` on the command line."""

from __future__ import annotations

import json
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mcld_anim.cli.main import app
from mcld_anim.core import device as devices
from mcld_anim.core.errors import MissingDependencyError, WeightsError
from mcld_anim.health import doctor, machine
from mcld_anim.health.findings import Finding
from mcld_anim.model import choose
from mcld_anim.model.choose import find_model
from mcld_anim.source import insightface_backend
from mcld_anim.weights import published, store, table
from mcld_anim.weights.origins import UrlFile
from mcld_anim.weights.published import PublishedFile, PublishedModel
from mcld_anim.weights.store import PulledFile, add_to_record


@pytest.fixture(autouse=True)
def empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def by_name(findings) -> dict[str, Finding]:
    return {one.name: one for one in findings}


def test_this_installation_can_run() -> None:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    told = json.loads(result.stdout)
    assert (result.exit_code, told["can_run"]) == (0, True)
    found = {(one["section"], one["name"]): one for one in told["findings"]}
    for part in (("system", "memory"), ("torch", "device"), ("video", "encoders"), ("weights", "mcld-sd15")):
        assert part in found
    assert found["stages", "model"]["text"] == "tiny"
    assert found["weights", "tiny"]["text"] == "embedded, checksums verified"
    assert found["weights", "antelopev2"]["remedy"] == "mcld-anim models pull antelopev2"
    assert all(one["remedy"] for one in told["findings"] if one["level"] == "bad")


def test_the_screen_shows_the_command_and_the_exit_code_says_whether_run_works(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [
        Finding("torch", "torch", "ok", "2.13 [cpu]"),
        Finding("conflicts", "opencv", "bad", "two of them", "pip uninstall one"),
    ]
    monkeypatch.setattr(doctor, "diagnose", lambda: findings)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert "2.13 [cpu]" in result.stdout
    assert "fix: pip uninstall one" in result.stdout
    assert "mcld-anim can run; 1 to fix" in result.stdout
    findings.append(Finding("video", "encoders", "bad", "missing: libx264", "pip install av", blocks=True))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "mcld-anim cannot run; 2 to fix" in result.stdout


def test_a_broken_package_points_to_the_doctor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mcld_anim.setup.rehearsal", None)  # importing it fails
    result = CliRunner().invoke(app, ["models", "verify", "--random", "mcld-sd15"])
    assert result.exit_code == 1
    assert result.stderr.endswith("run `mcld-anim doctor` for the remedy\n")
    assert len(result.stderr.splitlines()) == 1


def test_damaged_embedded_weights_block(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = next(row for row in table.embedded_table() if row.part == "vae")
    monkeypatch.setattr(table, "verify_embedded", lambda: [table.Verification(row, "checksum differs")])
    found = by_name(doctor.check_weights())["tiny"]
    assert found.blocks
    assert found.text == "vae.safetensors: checksum differs"


def test_pulled_weights_are_checked(monkeypatch: pytest.MonkeyPatch, empty_home: Path) -> None:
    file = PublishedFile("part", UrlFile("https://example.org/a.pkl"), 0, "MIT", True, 10)
    model = PublishedModel("own", "test", "densepose", (file,))
    monkeypatch.setattr(published, "MODELS", (model,))
    assert by_name(doctor.check_weights())["own"].level == "note"
    (empty_home / "own").mkdir(parents=True)
    (empty_home / "own" / "a.safetensors").write_bytes(b"12345")
    add_to_record(empty_home / "own", "part", PulledFile("a.safetensors", 5, "0" * 64, 5, "0" * 64, "x", {}))
    assert by_name(doctor.check_weights())["own"].text == "pulled, sizes verified"
    (empty_home / "own" / "a.safetensors").write_bytes(b"1234")
    found = by_name(doctor.check_weights())["own"]
    assert (found.level, found.blocks, found.remedy) == ("bad", False, "mcld-anim models pull own")
    assert found.text == "a.safetensors has 4 bytes, expected 5"


def test_a_gpu_with_the_published_model_needs_its_estimators(monkeypatch: pytest.MonkeyPatch) -> None:
    large = choose.ChosenModel("mcld-sd15", find_model("tiny").options, Path("x"), "insightface")
    monkeypatch.setattr(choose, "find_model", lambda name: large)
    monkeypatch.setattr(doctor, "missing_for_faces", lambda: ("no models", "mcld-anim models pull antelopev2"))
    found = by_name(doctor.check_stages())
    assert found["model"].text == "mcld-sd15"
    for name in ("densepose", "face"):
        assert found[name].blocks
        assert found[name].remedy.startswith("mcld-anim models pull")
    monkeypatch.setattr(choose, "first_pulled", lambda use: use == "torchscript" or None)
    monkeypatch.setattr(doctor, "missing_for_faces", lambda: None)
    found = by_name(doctor.check_stages())
    assert (found["densepose"].text, found["face"].text) == ("torchscript", "insightface")


def test_missing_requirements_of_faces_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_package() -> None:
        raise MissingDependencyError("needs insightface")

    def no_models() -> None:
        raise WeightsError("no models")

    monkeypatch.setattr(insightface_backend, "check_package", no_package)
    assert doctor.missing_for_faces() == ("needs insightface", "pip install 'mcld-anim[face]'")
    monkeypatch.setattr(insightface_backend, "check_package", lambda: None)
    monkeypatch.setattr(insightface_backend, "find_model_folder", no_models)
    assert doctor.missing_for_faces() == ("no models", "mcld-anim models pull antelopev2")
    monkeypatch.setattr(insightface_backend, "find_model_folder", lambda: None)
    assert doctor.missing_for_faces() is None


def test_low_memory_another_torch_and_an_unused_gpu_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = namedtuple("memory", "total available")
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory(8e9, 1e9))
    assert by_name(machine.check_system())["memory"].level == "bad"
    monkeypatch.setattr(machine, "has_nvidia_gpu", lambda: True)
    monkeypatch.setattr(devices, "choose_device", lambda name: torch.device("cpu"))
    monkeypatch.setattr(torch, "__version__", "2.12.0")
    found = by_name(machine.check_torch())
    assert found["torch"].remedy == "pip install 'torch>=2.13,<2.14'"
    assert "torch does not see it" in found["device"].text
    assert not any(one.blocks for one in found.values())


def test_a_missing_encoder_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_has_codec", lambda name, mode: name not in ("libx264", "av1"))
    found = by_name(machine.check_codecs())
    assert found["encoders"].blocks
    assert not found["decoders"].blocks
    assert "missing: av1" in found["decoders"].text


def test_the_models_folder_need_not_exist(empty_home: Path) -> None:
    assert str(empty_home) in by_name(machine.check_system())["models folder"].text
    assert store.models_folder() == empty_home
