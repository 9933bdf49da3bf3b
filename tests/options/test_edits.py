"""Options of the edits: what is refused, and the list of what there is instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcld_anim.core.errors import UsageError
from mcld_anim.options.edits import AppearanceOptions, GarmentChoice, Tint, Weights
from mcld_anim.options.run import EditOptions, PoseOptions


def edits(**given: object) -> AppearanceOptions:
    options = AppearanceOptions(**given)  # type: ignore[arg-type]
    options.check_edits()
    return options


def test_garments_and_tints_of_several_flags_and_of_one_text() -> None:
    given = edits(garment_from=("a:b.jpg:upper", "c.jpg:shoes"), tint="upper=#AA2233,lower=#000000")
    assert given.garments == (GarmentChoice(Path("a:b.jpg"), "upper"), GarmentChoice(Path("c.jpg"), "shoes"))
    assert given.tints == (Tint("upper", (0xAA, 0x22, 0x33)), Tint("lower", (0, 0, 0)))
    assert given.edit_photos == {Path("a:b.jpg"): "--garment-from", Path("c.jpg"): "--garment-from"}


def test_conditions_that_are_not_named_keep_their_weight() -> None:
    assert edits(weights="face=0.5, texture=2").condition_weights == Weights(0.5, 1.0, 2.0)
    assert edits().condition_weights == Weights()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"garment_from": "a.jpg:hat"}, r"--garment-from a\.jpg:hat .* upper, lower, shoes, all"),
        ({"garment_from": "a.jpg"}, r"PHOTO:GROUP"),
        ({"garment_from": ("a.jpg:upper", "b.jpg:all")}, r"--garment-from names upper twice"),
        ({"tint": "hair=#aa2233"}, r"no group hair; there are upper, lower, shoes, all"),
        ({"tint": "upper=red"}, r"GROUP=#rrggbb"),
        ({"tint": ("shoes=#aa2233", "shoes=#aa2234")}, r"--tint names shoes twice"),
        ({"weights": "pose=1"}, r"no condition pose; there are face, image, texture"),
        ({"weights": "face=much"}, r"--weights face=much is no number"),
        ({"weights": "face=-1"}, r"--weights face -1\.0 is out of range; it must be between 0 and 10"),
        ({"weights": "face=nan"}, r"--weights face"),
    ],
)
def test_unknown_names_are_refused_with_those_there_are(given: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        edits(**given)


def test_the_commands_check_them_and_read_their_files() -> None:
    with pytest.raises(UsageError, match="no group hat"):
        PoseOptions(source=Path("me.jpg"), pose=Path("p.png"), tint="hat=#aa2233")
    options = PoseOptions(source=Path("me.jpg"), pose=Path("p.png"), face_from=Path("f.jpg"), texture=Path("t.png"))
    assert {Path("f.jpg"), Path("t.png")} <= set(options.inputs)
    with pytest.raises(UsageError, match="nothing to edit"):
        EditOptions(source=Path("me.jpg"))
