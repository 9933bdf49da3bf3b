"""Several photos of one person in other poses: what the first does not show comes from the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import FOCAL, BodyMotion, BodyShape
from mcld_anim.body.skeleton import CONTROLS, SHAPES
from mcld_anim.source.joined_warps import joined_warps
from mcld_anim.source.photo_warp import PhotoWarp

SIZE = (240, 180)
SHIRT, LABEL = (60, 120, 190), (230, 210, 40)


def standing(turn: float = 0.0) -> BodyMotion:
    """The mean body in one frame, turned about the vertical axis."""
    vectors = np.zeros((len(CONTROLS), 3))
    vectors[CONTROLS.index("root")] = (0, 0, turn)
    controls = Rotation.from_rotvec(vectors).as_matrix()[None].astype(np.float32)
    shape, camera = BodyShape(np.zeros(SHAPES), 1.0), np.array([[0.0, 3.2, 0.0]], np.float32)
    return BodyMotion(shape, controls, camera, FOCAL * max(SIZE), SIZE)


def warp_of(painter: BodyPainter, turn: float, brightness: float = 1.0) -> PhotoWarp:
    """A photo of a person in one colour, whose back has a label."""
    drawn = painter.drawn(standing(turn), 0)
    picture = np.full((*SIZE, 3), SHIRT, np.float32)
    picture[drawn.whole(np.isin(drawn.iuv[drawn.box][..., 0], [1]))] = LABEL
    return PhotoWarp.of((picture * brightness).round().astype(np.uint8), drawn.person.astype(np.float32), drawn)


@pytest.fixture(scope="module")
def painter() -> BodyPainter:
    return BodyPainter(standing().shape)


@pytest.fixture(scope="module")
def joined(painter: BodyPainter) -> PhotoWarp:
    return joined_warps([warp_of(painter, 0), warp_of(painter, np.pi, 0.7)])


def test_the_back_is_the_second_photos(painter: BodyPainter, joined: PhotoWarp) -> None:
    behind = painter.drawn(standing(np.pi), 0)
    alone = warp_of(painter, 0).layer(behind)
    layer = joined.layer(behind)
    assert alone.validity[behind.inside].mean() < 0.06
    assert layer.validity[behind.inside].mean() > 0.6
    made = layer.before(np.zeros((*SIZE, 3), np.uint8))
    back = behind.whole((behind.iuv[behind.box][..., 0] == 1) & (layer.validity > 0.99))
    assert np.abs(np.median(made[back], 0) - LABEL).max() < 12  # as bright as the first photo is
    legs = behind.whole(np.isin(behind.iuv[behind.box][..., 0], [7, 8, 11, 12]) & (layer.validity > 0.99))
    assert np.abs(np.median(made[legs], 0) - SHIRT).max() < 12


def test_the_front_stays_the_first_photos(painter: BodyPainter, joined: PhotoWarp) -> None:
    before = painter.drawn(standing(), 0)
    alone, layer = warp_of(painter, 0).layer(before), joined.layer(before)
    sure = alone.validity > 0.99
    assert np.abs(layer.colours - alone.colours)[sure].mean() < 0.5
    assert (layer.validity >= alone.validity - 1e-6).all()


def test_the_light_is_that_of_the_photo_that_shows_the_surface(painter: BodyPainter, joined: PhotoWarp) -> None:
    """In the pose of the second photo its surface is lit as it was."""
    layer = joined.layer(painter.drawn(standing(np.pi), 0))
    seen = layer.drawn.inside & (layer.validity > 0.99)
    assert np.abs(layer.normals[seen][:, 1] - layer.normals[seen][:, 2]).mean() < 0.05
    assert np.abs(layer.lit().colours - layer.colours)[seen].mean() < 2


def test_one_photo_alone_is_sampled_as_ever(painter: BodyPainter) -> None:
    warp, drawn = warp_of(painter, 0), painter.drawn(standing(0.4), 0)
    assert warp.views == ()
    twice = joined_warps([warp, replace(warp)]).layer(drawn)
    assert np.abs(twice.colours - warp.layer(drawn).colours)[drawn.inside].mean() < 1
