"""The driver in the source's photo: it begins there, moves as far, keeps the ground, and stays in the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mcld_anim.body.fit import FOCAL, BodyMotion, BodyShape
from mcld_anim.body.place import NOSE, placed
from mcld_anim.body.skeleton import SHAPES

PHOTO, VIDEO = (480, 320), (360, 640)
FEET = [29, 30, 31, 32]
HEAD = 20.0
"""Pixels from the nose to the top of the head in the photo."""


@pytest.fixture
def photo(controls: Callable) -> BodyMotion:
    """Somebody who stands left of the photo's middle, whole in it."""
    camera = np.array([[-0.2, 4.0, 0.1]], np.float32)
    shape = BodyShape(np.zeros(SHAPES), 1.0)
    return BodyMotion(shape, controls({}).astype(np.float32), camera, FOCAL * max(PHOTO), PHOTO)


def driver(controls: np.ndarray, camera: np.ndarray, scale: float = 1.0) -> BodyMotion:
    shape = BodyShape(np.zeros(SHAPES), scale)
    frames = max(len(controls), len(camera))
    return BodyMotion(
        shape,
        np.broadcast_to(controls, (frames, *controls.shape[1:])).astype(np.float32),
        np.broadcast_to(camera, (frames, 3)).astype(np.float32),
        FOCAL * max(VIDEO),
        VIDEO,
    )


def places(motion: BodyMotion) -> np.ndarray:
    """Landmarks before the camera, in metres."""
    return motion.landmarks()[1] + motion.camera[:, None]


def test_the_same_pose_is_where_the_photo_shows_it(photo: BodyMotion, controls: Callable) -> None:
    made = placed(driver(controls({}), np.array([[1.3, 6.0, -0.4]])), [slice(0, 1)], photo, HEAD)
    assert (made.size, made.focal) == (photo.size, photo.focal)
    assert np.allclose(made.camera, photo.camera, atol=1e-4)


def test_fingers_are_the_drivers(photo: BodyMotion, controls: Callable) -> None:
    bent = np.random.default_rng(0).random((1, 2, 5)).astype(np.float32)
    moving = replace(driver(controls({}), np.array([[1.3, 6.0, -0.4]])), fingers=bent)
    made = placed(moving, [slice(0, 1)], photo, HEAD)
    assert made.fingers is not None
    assert (made.fingers == bent).all()


def test_the_head_stays_in_the_picture(photo: BodyMotion, controls: Callable) -> None:
    up = driver(controls({}), np.linspace(0, 1.5, 20)[:, None] * [0, 0, 1] + [0, 6.0, 0])
    made = placed(up, [slice(0, 20)], photo, HEAD)
    nose = made.landmarks()[0][:, 0, 1]
    assert nose[-1] < nose[0] - 20
    assert (nose >= HEAD).all()
    # A photo that cuts the hair off does not lift the head any further.
    cut = replace(photo, camera=photo.camera + np.array([[0, 0, 0.5]], np.float32))
    shown = cut.landmarks()[0][0, 0, 1]
    assert 0 < shown < 60
    kept = placed(up, [slice(0, 20)], cut, 80.0).landmarks()[0][:, 0, 1]
    assert np.allclose(kept, shown, atol=1.0)


def test_moves_are_the_drivers_in_the_sources_size(photo: BodyMotion, controls: Callable) -> None:
    camera = np.array([[1.3, 6.0, -0.4], [1.35, 6.0, -0.4]])
    for scale, expected in ((1.0, 0.05), (0.5, 0.1)):  # of somebody half as tall, a step is half as far
        made = placed(driver(controls({}), camera, scale), [slice(0, 2)], photo, HEAD)
        assert made.camera[1, 0] - made.camera[0, 0] == pytest.approx(expected, rel=0.02)


def test_nearer_is_nearer_in_proportion(photo: BodyMotion, controls: Callable) -> None:
    made = placed(driver(controls({}), np.array([[0, 6.0, 0], [0, 5.7, 0]])), [slice(0, 2)], photo, HEAD)
    depth = places(made)[:, 23:25, 1].mean(1)
    assert depth[1] / depth[0] == pytest.approx(5.7 / 6.0, rel=0.01)


def test_the_face_of_a_close_up_comes_no_nearer_than_others(photo: BodyMotion, controls: Callable) -> None:
    """The face is half as far from the camera as the shoulders, and cannot come as many centimetres nearer."""
    close = replace(photo, camera=np.array([[0.0, 0.3, -0.6]], np.float32))
    walking = driver(controls({}), np.array([[0, 4.0, 0], [0, 2.8, 0]]))
    made = placed(walking, [slice(0, 2)], close, 100.0)
    depth = places(made)[:, NOSE, 1]
    assert 0.6 < depth[1] / depth[0] < 0.8


def test_feet_stay_on_the_ground_and_jumps_are_jumps(photo: BodyMotion, controls: Callable) -> None:
    bent = {"upperleg.L": [[0, 0, 0], [0.8, 0, 0]], "upperleg.R": [[0, 0, 0], [0.8, 0, 0]]}
    bent |= {"lowerleg.L": [[0, 0, 0], [-1.2, 0, 0]], "lowerleg.R": [[0, 0, 0], [-1.2, 0, 0]]}
    poses = controls(bent, 2)
    squat = driver(poses, np.array([[0, 6.0, 0]]))
    lowest = places(squat)[..., 2].min(1)
    on_ground = replace(squat, camera=squat.camera - np.stack([0 * lowest, 0 * lowest, lowest], 1).astype(np.float32))
    made = places(placed(on_ground, [slice(0, 2)], photo, HEAD))
    assert made[1, FEET, 2].min() == pytest.approx(places(photo)[0, :, 2].min(), abs=0.01)
    jump = replace(on_ground, camera=on_ground.camera + np.array([[0, 0, 0], [0, 0, 0.1]], np.float32))
    higher = places(placed(jump, [slice(0, 2)], photo, HEAD))
    assert higher[1, :, 2].min() - made[1, :, 2].min() == pytest.approx(0.1, abs=0.01)


def test_a_portrait_keeps_its_shoulders(photo: BodyMotion, controls: Callable) -> None:
    portrait = replace(photo, camera=np.array([[0.0, 1.3, -0.6]], np.float32))
    shown = portrait.landmarks()[0][0]
    assert shown[[11, 12], 1].max() < PHOTO[0] < shown[[23, 24], 1].min()  # shoulders, but no hips
    made = placed(driver(controls({"upperleg.L": (0.6, 0, 0)}), np.array([[0, 6.0, 0]])), [slice(0, 1)], portrait, HEAD)
    assert np.allclose(made.landmarks()[0][0, [11, 12]], shown[[11, 12]], atol=1.0)


def test_whoever_walks_out_is_followed(photo: BodyMotion, controls: Callable) -> None:
    away = np.linspace(0, 6, 30)[:, None] * [1, 0, 0] + [0, 6.0, 0]
    for direction in (1, -1):
        made = placed(driver(controls({}), away * [direction, 1, 1]), [slice(0, 30)], photo, HEAD)
        nose = made.landmarks()[0][:, 0]
        assert (nose[:, 0] > 0.05 * PHOTO[1]).all()
        assert (nose[:, 0] < 0.95 * PHOTO[1]).all()
        assert (np.diff(nose[:10, 0]) * direction > 0).all()


def test_a_new_scene_begins_in_its_place(photo: BodyMotion, controls: Callable) -> None:
    camera = np.array([[0, 6.0, 0], [0.1, 6.0, 0], [2.0, 3.0, 0.5], [2.1, 3.0, 0.5]])
    made = placed(driver(controls({}), camera), [slice(0, 2), slice(2, 4)], photo, HEAD)
    assert np.allclose(made.camera[2], photo.camera[0], atol=1e-4)
    assert np.allclose(made.camera[3] - made.camera[2], made.camera[1] - made.camera[0], atol=0.02)
