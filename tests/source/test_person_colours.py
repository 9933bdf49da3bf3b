"""The colours of a photographed person's head: skin, hair, and which of both covers the ears."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.body.draw import BodyPainter, DrawnBody
from mcld_anim.body.fit import FOCAL, BodyMotion, BodyShape
from mcld_anim.body.rig import load_body
from mcld_anim.body.skeleton import CONTROLS, SHAPES
from mcld_anim.core.arrays import HEAD_PARTS, Picture
from mcld_anim.source.person_colours import crown, ear_vertices, ears_under_hair, hair_colour, skin_colour

SIZE = (400, 360)
SKIN, HAIR = (200, 150, 120), (90, 60, 20)


@pytest.fixture(scope="module")
def drawn() -> DrawnBody:
    """A portrait of the mean body."""
    shape, camera = BodyShape(np.zeros(SHAPES), 1.0), np.array([[0.0, 1.0, -0.75]], np.float32)
    controls = np.tile(np.eye(3, dtype=np.float32), (1, len(CONTROLS), 1, 1))
    return BodyPainter(shape).drawn(BodyMotion(shape, controls, camera, FOCAL * max(SIZE), SIZE), 0)


def portrait(drawn: DrawnBody, hair: np.ndarray, colour: tuple[int, int, int] = HAIR) -> Picture:
    """The head in the colour of skin, with hair at the vertices where `hair` holds."""
    picture = np.full((*SIZE, 3), 30, np.uint8)
    shown = picture[drawn.box]
    shown[np.isin(drawn.iuv[drawn.box][..., 0], HEAD_PARTS)] = SKIN
    shown[drawn.inside & hair[load_body().faces].any(1)[drawn.triangle]] = colour
    return picture


def covered(drawn: DrawnBody, hair: np.ndarray) -> str:
    return ears_under_hair(portrait(drawn, hair), drawn.person.astype(np.float32), drawn)


def test_an_ear_is_under_hair_where_the_photo_shows_hair_on_it(drawn: DrawnBody) -> None:
    assert covered(drawn, crown()) == ""  # short hair
    assert covered(drawn, crown() | ear_vertices("LR")) == "LR"
    assert covered(drawn, crown() | ear_vertices("L")) == "L"  # behind the other ear
    assert covered(drawn, crown() | ear_vertices("R")) == "R"


def test_an_ear_that_is_not_seen_is_as_the_other_one(drawn: DrawnBody) -> None:
    body, alpha = load_body(), drawn.person.astype(np.float32)
    alpha[drawn.box][drawn.inside & ear_vertices("R")[body.faces].any(1)[drawn.triangle]] = 0
    for hair, expected in ((crown() | ear_vertices("L"), "LR"), (crown(), "")):
        assert ears_under_hair(portrait(drawn, hair), alpha, drawn) == expected


def test_ears_have_sides() -> None:
    across = load_body().mean_vertices[:, 0]
    assert (across[ear_vertices("L")] > 0.02).all()
    assert (across[ear_vertices("R")] < -0.02).all()
    assert not ear_vertices("").any()
    assert ear_vertices("LR").sum() == ear_vertices("L").sum() + ear_vertices("R").sum()


def test_a_high_forehead_is_no_hair(drawn: DrawnBody) -> None:
    """Nor is a bald head's crown anything but skin."""
    white, above = (215, 210, 205), load_body().mean_vertices[:, 2]
    high = crown() & (above > np.quantile(above[crown()], 0.6))  # a third of the crown, as the camera sees it
    for hair, expected in ((high, white), (np.zeros(len(high), bool), SKIN)):
        found = hair_colour(portrait(drawn, hair, white), drawn.person.astype(np.float32), drawn)
        assert found is not None
        np.testing.assert_allclose(found, expected, atol=2)


def test_nobody_tells_without_hair(drawn: DrawnBody) -> None:
    """A picture that ends below the crown."""
    body = load_body()
    picture, alpha = portrait(drawn, body.ears > 0.5), drawn.person.astype(np.float32)
    alpha[drawn.box][drawn.inside & crown()[body.faces].any(1)[drawn.triangle]] = 0
    assert hair_colour(picture, alpha, drawn) is None
    assert skin_colour(picture, alpha, drawn) is not None
    assert ears_under_hair(picture, alpha, drawn) == ""
