"""`eval compare`: one table from several measurements, and its files."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mcld_anim.cli.main import app
from mcld_anim.core.errors import InputError
from mcld_anim.evaluate.compare import as_markdown, read_results
from mcld_anim.evaluate.interval_plot import draw_intervals
from mcld_anim.evaluate.published_results import PAPER


def metric(
    mean: float | None, low: float | None = None, high: float | None = None, infinite: int = 0
) -> dict[str, Any]:
    return {"mean": mean, "low": low, "high": high, "count": 9, "infinite": infinite}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Figures of two methods, and of reenacted clips."""
    contents = {
        "a.json": {
            "name": "ours",
            "sets": {"256x176": {"metrics": {"psnr": metric(20.0, 19.0, 21.5), "lpips": metric(0.1, 0.09, 0.12)}}},
        },
        "b.json": {"name": "a|b <i>", "sets": {"256x176": {"metrics": {"psnr": metric(None, infinite=9)}}}},
        "c.json": {"clips": [{}, {}], "mean": {"person_psnr": 19.25, "face_same_rate": None, "frames": 3}},
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
    return [tmp_path / name for name in contents]


def test_everything_is_in_one_table(files: list[Path]) -> None:
    header, rule, *rows = as_markdown(read_results(files)).splitlines()
    assert header == "| method | set | LPIPS↓ | PSNR↑ | person PSNR↑ |"
    assert rule == "| --- | --- | --- | --- | --- |"
    assert rows == [
        "| ours | 256x176 | 0.1000 [0.0900, 0.1200] | 20.000 [19.000, 21.500] | - |",
        "| a\\|b <i> | 256x176 | - | inf (9 equal) | - |",
        "| c | reenact | - | - | 19.25 |",
    ]


def test_the_command_writes_every_form(files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = {name: tmp_path / f"table.{name}" for name in ("markdown", "csv", "json", "svg")}
    flags = [part for name, path in made.items() for part in (f"--{name}", str(path))]
    with pytest.raises(SystemExit) as caught:
        app(["eval", "compare", *map(str, files), "--paper", *flags])
    assert not caught.value.code
    assert made["markdown"].read_text() == capsys.readouterr().out
    assert "| MCLD (paper) | 256x176 | 6.693 | 0.1482 | 0.7511 |" in made["markdown"].read_text()
    with made["csv"].open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [rows[1][key] for key in ("method", "metric", "mean", "low", "high")] == [
        "ours",
        "psnr",
        "20.0",
        "19.0",
        "21.5",
    ]
    assert sum(row["origin"] == "paper" for row in rows) == sum(len(row) for row in PAPER.values())
    results = json.loads(made["json"].read_text())
    assert results[0]["metrics"]["lpips"]["mean"] == 0.1
    assert len(results) == 3 + len(PAPER)


def test_the_picture_shows_means_between_their_ends(files: list[Path]) -> None:
    svg = draw_intervals(read_results(files))
    root = ElementTree.fromstring(svg)
    texts = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "PSNR: more is better" in texts
    assert "LPIPS: less is better" in texts
    assert not any("a|b" in (text or "") for text in texts)  # an infinite mean has no place
    dots = [float(one.get("cx", "")) for one in root.iter("{http://www.w3.org/2000/svg}circle")]
    bars = [one.get("d", "") for one in root.iter("{http://www.w3.org/2000/svg}path") if one.get("stroke-width")]
    assert len(dots) == 3
    for dot, bar, share in zip(dots, bars, (1 / 3, 0.4), strict=False):
        low, high = (float(number) for number in re.findall(r"[MH]([\d.]+)", bar))
        assert dot == pytest.approx(low + share * (high - low), abs=0.11)


def test_files_of_one_name_are_told_apart(files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    again = tmp_path / "other" / "a.json"
    again.write_text(files[0].read_text())
    methods = [one.method for one in read_results([files[0], again])]
    assert methods == [f"ours ({files[0].as_posix()})", f"ours ({again.as_posix()})"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read"),
        ("[1]", "holds no figures"),
        ('{"sets": {}}', "holds no figures"),
        ('{"sets": {"a": 3}}', "a set without metrics"),
        ('{"sets": {"a": {"metrics": {"psnr": 3}}}}', "psnr is 3, not a mean"),
        ('{"sets": {"a": {"metrics": {"psnr": {"mean": 3, "low": 1}}}}}', "not a mean with its interval"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=words):
        read_results([tmp_path / "x.json"])
