"""`mcld-anim models verify`: table and exit code."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from mcld_anim.cli.models import app

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
