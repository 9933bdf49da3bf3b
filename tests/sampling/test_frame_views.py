"""What networks see of a frame in a photo, and the way back: the window, the photo around it, the photo's pixels."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mcld_anim.body.clip import ClipFrame, FramePose, clip_frames
from mcld_anim.body.draw import BodyPainter, DrawnBody
from mcld_anim.body.fit import FOCAL, BodyMotion, BodyShape
from mcld_anim.body.skeleton import CONTROLS, SHAPES
from mcld_anim.run.photo import WINDOW_STEP, window_around
from mcld_anim.sampling.frame_views import PhotoViews
from mcld_anim.sampling.photo_pixels import PhotoPixels
from mcld_anim.source.fitted_photo import FittedPhoto
from mcld_anim.source.photo_warp import PhotoWarp
from mcld_anim.video.framing import SteadyCrop, cut_out

SIZE = (256, 192)
WINDOW = SteadyCrop(-32, 0, 256, 256)  # reaches out of the photo on both sides
RED = (250, 10, 10)


@pytest.fixture(scope="module")
def motion() -> BodyMotion:
    controls = np.tile(np.eye(3, dtype=np.float32), (2, len(CONTROLS), 1, 1))
    camera = np.array([[0, 3.2, 0], [0.15, 3.2, 0]], np.float32)
    return BodyMotion(BodyShape(np.zeros(SHAPES), 1.0), controls, camera, FOCAL * max(SIZE), SIZE)


@pytest.fixture(scope="module")
def photo(motion: BodyMotion) -> FittedPhoto:
    """A striped person before a wall whose colours tell the place."""
    painter = BodyPainter(motion.shape)
    drawn = painter.drawn(motion, 0)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    wall = np.stack([x, y, x // 2 + y // 4], -1).astype(np.uint8)
    striped = np.stack([x * 0 + 40, 40 * (y // 8 % 5), x], -1).astype(np.uint8)
    picture = np.where(drawn.person[..., None], striped, wall)
    alone = replace(motion, controls=motion.controls[:1], camera=motion.camera[:1])
    warp = PhotoWarp.of(picture, drawn.person.astype(np.float32), drawn)
    return FittedPhoto(picture, wall, np.zeros(SIZE, np.float32), painter, alone, warp)


def drawn_at(photo: FittedPhoto, motion: BodyMotion, index: int) -> DrawnBody:
    return photo.painter.drawn(motion, index)


def frames(photo: FittedPhoto, motion: BodyMotion) -> list[ClipFrame]:
    drawn = [drawn_at(photo, motion, index) for index in range(2)]
    return list(clip_frames(FramePose(one.iuv, drawn=one) for one in drawn))


def test_the_view_is_the_window(photo: FittedPhoto, motion: BodyMotion) -> None:
    one, two = (PhotoViews(photo, WINDOW).view(frame) for frame in frames(photo, motion))
    assert one.frame.iuv.shape == (256, 256, 3)
    assert np.array_equal(one.frame.iuv[:, 32:224], drawn_at(photo, motion, 0).iuv)
    assert not one.frame.iuv[:, :32].any()
    assert one.warped is not None
    assert np.array_equal(one.warped[:20, 32:224], photo.picture[:20])
    assert (one.warped[:, 0] == one.warped[:, 31]).all()  # beyond the photo its edge is repeated
    assert one.validity is not None
    assert (one.validity[one.frame.iuv[..., 0] == 0] == 1).all()
    assert one.frame.link is None
    assert two.frame.link is not None
    known = two.frame.link.correspondence
    assert np.median(known.offset[known.found][:, 0]) == pytest.approx(-motion.focal * 0.15 / 3.2, abs=1)


def test_around_the_person_the_photo_stays(photo: FittedPhoto, motion: BodyMotion) -> None:
    views, frame = PhotoViews(photo, WINDOW), frames(photo, motion)[1]
    made = views.finished(views.view(frame), np.full((256, 256, 3), RED, np.uint8))
    person = drawn_at(photo, motion, 1).person
    assert made.shape == photo.picture.shape
    assert np.abs(made[person].astype(int) - RED).max() <= 3
    far = ~np.pad(person, 8, constant_values=False)[8:-8, 8:-8]
    rows = np.flatnonzero(person.any(1))
    assert np.array_equal(made[: rows[0] - 5], photo.background[: rows[0] - 5])
    assert (made[far] == photo.background[far]).all(-1).mean() > 0.85


def test_without_networks_the_person_is_the_photos_own_pixels(photo: FittedPhoto, motion: BodyMotion) -> None:
    same, moved = frames(photo, motion)
    made, other = PhotoPixels(photo).make([same, moved])
    layer = photo.warp.layer(drawn_at(photo, motion, 0))
    seen = layer.drawn.whole(layer.validity) > 0.99
    kept = seen & drawn_at(photo, motion, 0).person & (np.abs(made.astype(int) - photo.picture).max(-1) < 12)
    assert kept.sum() > 0.2 * drawn_at(photo, motion, 0).person.sum()
    apart = np.abs(other.astype(int) - photo.background).max(-1) > 3
    near = cv2.dilate(drawn_at(photo, motion, 1).person.astype(np.uint8), np.ones((9, 9))) > 0
    assert apart[drawn_at(photo, motion, 1).person].mean() > 0.9
    assert not apart[~near].any()


def test_what_stands_before_the_person_stays(photo: FittedPhoto, motion: BodyMotion) -> None:
    front = np.zeros(SIZE, np.float32)
    front[200:] = 1
    views, frame = PhotoViews(replace(photo, front=front), WINDOW), frames(photo, motion)[1]
    made = views.finished(views.view(frame), np.full((256, 256, 3), RED, np.uint8))
    assert drawn_at(photo, motion, 1).person[200:].any()
    assert np.array_equal(made[200:], photo.picture[200:])
    assert np.abs(made[drawn_at(photo, motion, 1).person & (front == 0)].astype(int) - RED).max() <= 3
    (moved,) = PhotoPixels(replace(photo, front=front)).make([frame])
    assert np.array_equal(moved[200:], photo.picture[200:])


def test_a_smaller_view_keeps_labels_and_means(photo: FittedPhoto, motion: BodyMotion) -> None:
    view = PhotoViews(photo, WINDOW).view(frames(photo, motion)[0])
    small = view.shrunk((128, 128))
    assert small.frame.iuv.shape == (128, 128, 3)
    assert set(np.unique(small.frame.iuv[..., 0])) <= set(np.unique(view.frame.iuv[..., 0]))
    assert small.warped is not None
    assert view.warped is not None
    assert np.abs(small.warped.mean((0, 1)) - view.warped.mean((0, 1))).max() < 1
    assert view.shrunk((256, 256)) is view


def test_the_window_holds_the_person_and_stays_in_the_picture(motion: BodyMotion) -> None:
    wide = replace(motion, size=(512, 900), focal=FOCAL * 900.0)
    window = window_around(wide, 256)
    assert window.w == window.h
    assert window.w % WINDOW_STEP == 0
    xy = wide.landmarks()[0].reshape(-1, 2).clip(0, [900, 512])
    assert (xy >= [window.x, window.y]).all()
    assert (xy <= [window.x + window.w, window.y + window.h]).all()
    far = replace(wide, camera=wide.camera + np.array([0, 20, 0], np.float32))
    assert window_around(far, 256).w == 256
    assert 0 <= window_around(far, 256).x <= 900 - 256


def test_a_cut_is_zero_outside() -> None:
    planes = np.arange(24).reshape(4, 6) + 1
    assert np.array_equal(cut_out(planes, SteadyCrop(1, 1, 2, 2)), planes[1:3, 1:3])
    shown = cut_out(planes, SteadyCrop(-2, -1, 4, 3))
    assert np.array_equal(shown[1:, 2:], planes[:2, :2])
    assert not shown[0].any()
    assert not cut_out(planes, SteadyCrop(50, 0, 3, 3)).any()
