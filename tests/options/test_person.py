"""Values of `--person`, and the errors for all others."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcld_anim.core.errors import UsageError
from mcld_anim.options.person import LARGEST, PersonChoice, parse_person
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import RunOptions


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ("largest", LARGEST),
        ("1", PersonChoice(number=1)),
        (12, PersonChoice(number=12)),
        ("320,180", PersonChoice(point=(320, 180))),
        (" 0 , 7.5 ", PersonChoice(point=(0, 7.5))),
    ],
)
def test_what_is_understood(given: str | int, choice: PersonChoice) -> None:
    assert parse_person(given) == choice
    assert parse_person(str(choice)) == choice


@pytest.mark.parametrize("given", ["0", "-1", "foo", "", "1.5", "3,", "1,2,3", "-4,5", 0, True, "nan,1"])
def test_everything_else_is_refused_with_what_there_is(given: str | int) -> None:
    with pytest.raises(UsageError, match=r"--person .*give largest, a number from 1 .* or x,y in pixels"):
        parse_person(given)


def test_a_point_must_lie_in_the_frame() -> None:
    PersonChoice(point=(639, 359)).check_inside(640, 360, "dance.mp4")
    with pytest.raises(UsageError, match=r"--person 640,10 lies outside dance\.mp4, which is 640x360 pixels"):
        PersonChoice(point=(640, 10)).check_inside(640, 360, "dance.mp4")
    LARGEST.check_inside(1, 1, "dot.png")


def test_a_yaml_gives_it_as_a_number_or_a_text(tmp_path: Path) -> None:
    given = {"source": Path("a.png"), "driving": Path("b.mp4"), "config": tmp_path / "mine.yaml"}
    for text, choice in (("2", PersonChoice(number=2)), ("'5,6'", PersonChoice(point=(5, 6))), ("largest", LARGEST)):
        (tmp_path / "mine.yaml").write_text(f"person: {text}\n")
        assert resolve_options(RunOptions, given).person_choice == choice
    (tmp_path / "mine.yaml").write_text("person: [5, 6]\n")
    with pytest.raises(UsageError, match="person: got"):
        resolve_options(RunOptions, given)


def test_it_does_nothing_for_poses_that_were_written_before() -> None:
    given = {"source": Path("a.png"), "driving": Path("b.mp4"), "densepose": "poses.zip"}
    assert resolve_options(RunOptions, given).person_choice == LARGEST
    with pytest.raises(UsageError, match=r"--person 2 has no effect with --densepose poses\.zip"):
        resolve_options(RunOptions, {**given, "person": "2"})
