"""`--person` from the command line to the IUV file, with the embedded estimator and two people side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mcld_anim.cli.main import app
from mcld_anim.pose.iuv_file import read_iuv, read_iuv_sequence


def shared(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of the people of two IUVs."""
    first, second = one[..., 0] > 0, other[..., 0] > 0
    return float((first & second).sum() / (first | second).sum())


@pytest.fixture
def photo(tmp_path: Path, two_people: Any) -> Path:
    Image.fromarray(two_people.picture).save(tmp_path / "two.png")
    return tmp_path / "two.png"


@pytest.mark.parametrize(("person", "name"), [("1", "left"), ("2", "right"), ("110,100", "left")])
def test_the_person_of_a_photo_is_chosen(photo: Path, two_people: Any, person: str, name: str) -> None:
    output = photo.with_name("iuv.png")
    made = CliRunner().invoke(app, ["densepose", str(photo), "--person", person, "--output", str(output)])
    assert made.exit_code == 0, made.stderr
    assert "shows 2 people (1: x" in made.stderr
    assert shared(read_iuv(output), two_people.people[name].iuv) > 0.6


def test_too_high_a_number_says_who_is_there(photo: Path) -> None:
    made = CliRunner().invoke(
        app, ["densepose", str(photo), "--person", "3", "--output", str(photo.with_name("x.png"))]
    )
    assert made.exit_code == 3
    assert "--person 3" in made.stderr
    assert "2 people (1: x" in made.stderr
    assert not photo.with_name("x.png").exists()


def test_the_second_person_of_a_video_is_followed(tmp_path: Path, people_frame: Any, clip_writer: Any) -> None:
    clip = [
        people_frame([("left", 960_001, 100 + 4 * k), ("right", 960_002, 300 - 4 * k)], k, size=192) for k in range(4)
    ]
    even = [shown.picture[: shown.picture.shape[0] // 2 * 2, : shown.picture.shape[1] // 2 * 2] for shown in clip]
    clip_writer(tmp_path / "two.mp4", even)
    output = tmp_path / "poses.zip"
    made = CliRunner().invoke(app, ["densepose", str(tmp_path / "two.mp4"), "--person", "2", "--output", str(output)])
    assert made.exit_code == 0, made.stderr
    assert "person 2 is followed" in made.stderr
    sequence = read_iuv_sequence(output)
    assert sequence.person_found.all()
    assert not sequence.cuts.any()
    for iuv, shown in zip(sequence, clip, strict=True):
        truth = shown.people["right"].iuv[: iuv.shape[0], : iuv.shape[1]]
        assert shared(iuv, truth) > 0.6
