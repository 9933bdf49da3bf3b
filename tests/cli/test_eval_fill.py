"""`mcld-anim eval fill`: table, JSON, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mcld_anim.cli.main import app


def call(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        app(["eval", "fill", *(str(argument) for argument in arguments)])
    return int(caught.value.code or 0)


def test_a_picture_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    assert call(tmp_path / "a.png", "--json", tmp_path / "fill.json") == 0
    metrics = json.loads((tmp_path / "fill.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    out = capsys.readouterr().out
    assert "2 holes in 1 pictures" in " ".join(out.split())
    for name in ("push_pull", "telea", "navier_stokes", "patches"):
        (row,) = (line.split() for line in out.splitlines() if line.strip().startswith(name))
        assert row[1:3] == [f"{metrics[name]['psnr']:.2f}", f"{metrics[name]['ssim']:.3f}"]


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("none.png", [], "does not exist"),
        ("text.png", [], "not a picture that can be read"),
        ("a.png", ["--json", "."], "is a folder"),
    ],
)
def test_bad_input_is_refused_before_anything_is_filled(
    name: str,
    more: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 64)).save("a.png")
    Path("text.png").write_text("no picture")
    monkeypatch.setattr("mcld_anim.evaluate.fill.read_picture", lambda *_: pytest.fail("a picture is decoded"))
    assert call("a.png", name, *more) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
