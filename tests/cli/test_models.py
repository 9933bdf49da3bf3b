"""`mcld-anim models`: listing, fetching, removing and verifying, and exit codes."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from mcld_anim.cli.main import app as main_app
from mcld_anim.cli.models import app
from mcld_anim.setup import rehearsal
from mcld_anim.setup.rehearsal import ParameterCount, Rehearsal
from mcld_anim.weights import published, table
from mcld_anim.weights.table import PARTS


@pytest.fixture(autouse=True)
def empty_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Isolate the tests from models pulled on this machine."""
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path / "home"))


RECORDED = Path(__file__).parent.parent / "golden"


def verify(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the command."""
    result = CliRunner().invoke(app, ["verify", "--golden", str(RECORDED), *arguments])
    return result.exit_code, result.output


def test_passing_cases_exit_0() -> None:
    code, output = verify("--case", "b_*")
    assert code == 0
    assert "b_pose_guider: frames" in output
    assert "2 comparisons, 0 failed" in output


def test_a_failing_case_exits_1_with_its_reason() -> None:
    code, output = verify("--case", "e_*")  # the ReferenceNet's weights are not in this folder
    assert code == 1
    assert "reference_unet.safetensors is missing" in output
    assert "1 comparisons, 1 failed" in output


def test_list_names_every_part_and_that_it_is_here() -> None:
    result = CliRunner().invoke(app, ["list"], env={"COLUMNS": "160"})
    assert result.exit_code == 0
    assert result.output.count("present") == len(PARTS)
    assert all(part in result.output for part in PARTS)


def test_verify_without_golden_checks_the_embedded_files() -> None:
    result = CliRunner().invoke(app, ["verify"])
    assert (result.exit_code, result.output) == (0, f"{len(PARTS)} files, 0 failed\n")


def test_a_damaged_embedded_file_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "embedded"
    shutil.copytree(table.EMBEDDED_FOLDER, folder)
    damaged = bytearray((folder / "face.safetensors").read_bytes())
    damaged[-1] ^= 1
    (folder / "face.safetensors").write_bytes(damaged)
    (folder / "vae.safetensors").unlink()
    monkeypatch.setattr(table, "EMBEDDED_FOLDER", folder)
    result = CliRunner().invoke(app, ["verify"])
    assert result.exit_code == 1
    assert "face.safetensors: checksum differs" in result.output
    assert "vae.safetensors: missing" in result.output


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty models folder, and a table with one model whose only file is in the user's folder `mine`."""
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path / "home"))
    origin = published.UrlFile("https://example.org/model_final.pkl")
    file = published.PublishedFile("weights", origin, 0, "for friends only", False, 1000)
    model = published.PublishedModel("own", "test", "densepose", (file,))
    monkeypatch.setattr(published, "MODELS", (model,))
    (tmp_path / "mine").mkdir()
    content = {"model": {"weight": np.ones((2, 3), np.float32)}}
    (tmp_path / "mine" / "model_final.pkl").write_bytes(pickle.dumps(content))
    return tmp_path / "home"


def call(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `mcld-anim models ...`."""
    result = CliRunner().invoke(main_app, ["models", *map(str, arguments)], env={"COLUMNS": "200"})
    return result.exit_code, result.stdout, result.stderr


def test_pull_list_verify_and_remove(home: Path, tmp_path: Path) -> None:
    assert call("where")[1].strip() == str(home)
    assert "not pulled" in call("list")[1]
    code, out, err = call("pull", "own", "--from", tmp_path / "mine")
    assert (code, out) == (2, "")  # nobody answers
    assert "weights: for friends only (https://example.org/model_final.pkl)" in err
    assert "--accept-licences" in err
    code, out, err = call("pull", "own", "--from", tmp_path / "mine", "--accept-licences")
    assert (code, out.strip()) == (0, str(home / "own"))
    assert f"weights from {tmp_path / 'mine' / 'model_final.pkl'}" in err
    listed = call("list")[1]
    assert "for friends only" in listed
    assert listed.count("present") == len(PARTS) + 1
    assert call("verify")[1] == f"{len(PARTS) + 1} files, 0 failed\n"
    path = home / "own" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    code, out, _ = call("verify")
    assert code == 1
    assert "own weights: the checksum of weights.safetensors differs; run `mcld-anim models pull own`" in out
    code, out, _ = call("remove", "own")
    assert (code, out) == (0, "0.00 GB freed\n")
    assert not (home / "own").exists()
    code, _, err = call("remove", "own")
    assert (code, "is not here" in err) == (1, True)


def test_unknown_names_and_formats_are_refused_first(home: Path) -> None:
    for arguments in (("pull", "own", "other"), ("remove", "other"), ("pull", "own", "--dtype", "int8")):
        code, _, err = call(*arguments)
        assert code == 2
        assert "choose" in err
    assert not home.exists()


def test_convert_writes_one_file(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.safetensors"
    code, out, _ = call("convert", tmp_path / "mine" / "model_final.pkl", target)
    assert (code, out.strip()) == (0, str(target))
    assert torch.equal(load_file(target)["weight"], torch.ones(2, 3))


@pytest.mark.parametrize(("good", "code"), [(True, 0), (False, 1)])
def test_the_rehearsal_prints_counts_seconds_and_memory(monkeypatch: pytest.MonkeyPatch, good: bool, code: int) -> None:
    counts = [ParameterCount("pose_guider", 1_086_480, 1_086_480, 1_086_480 if good else 1)]
    found = Rehearsal("mcld-sd15", "bfloat16", counts, {"load": 1.25}, int(7.5e9), True)
    monkeypatch.setattr(rehearsal, "rehearse", lambda *_, **__: found)
    returned, out, _ = call("verify", "--random", "mcld-sd15")
    assert returned == code
    assert "1,086,480" in out
    assert "1.2 s  load" in out
    assert "peak memory 7.50 GB in bfloat16, at most 11 GB allowed" in out
