"""`mcld-anim models verify`: table and exit code."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mcld_anim.cli.models import app
from mcld_anim.weights import table
from mcld_anim.weights.table import PARTS

RECORDED = Path(__file__).parent.parent / "golden"


def verify(*arguments: str) -> tuple[int, str]:
    """Exit code and output of the verb."""
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
