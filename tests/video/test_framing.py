"""Framing: one crop for the whole clip, cropping and pasting back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcld_anim.core.errors import PoseError
from mcld_anim.video.framing import (
    SteadyCrop,
    apply_iuv,
    apply_picture,
    full_crop,
    paste_back,
    resize_picture,
    steady_crop,
    tracking_crops,
)

FRAME = (480, 640)

crops = st.builds(SteadyCrop, st.integers(-80, 80), st.integers(-80, 80), st.integers(1, 120), st.integers(1, 120))
sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))


@st.composite
def walks(draw):
    """Boxes of a person who moves a little from frame to frame, with gaps where nobody was found."""
    x, y = draw(st.floats(0, 400)), draw(st.floats(0, 250))
    width, height = draw(st.floats(20, 150)), draw(st.floats(20, 200))
    boxes = []
    for _ in range(draw(st.integers(1, 20))):
        x, y = x + draw(st.floats(-4, 4)), y + draw(st.floats(-4, 4))
        boxes.append((x, y, x + width, y + height))
        boxes.extend([None] * draw(st.integers(0, 2)))
    return boxes


@given(boxes=walks(), aspect=st.floats(0.4, 2.5), margin=st.floats(0, 0.3))
def test_holds_every_box_at_the_asked_aspect(boxes, aspect, margin):
    crop = steady_crop(boxes, FRAME, aspect, margin)
    found = np.array([box for box in boxes if box is not None]).clip(0, [640, 480, 640, 480])
    space = margin * max(np.ptp(found[:, ::2]), np.ptp(found[:, 1::2]))
    assert crop.x <= found[:, 0].min() - space
    assert crop.y <= found[:, 1].min() - space
    assert crop.x + crop.w >= found[:, 2].max() + space
    assert crop.y + crop.h >= found[:, 3].max() + space
    assert abs(crop.w - crop.h * aspect) <= 0.5
    # No larger than needed: one side is as long as the people and their margin
    needed = (np.ptp(found[:, ::2]) + 2 * space, np.ptp(found[:, 1::2]) + 2 * space)
    assert crop.w <= needed[0] + 4 + aspect or crop.h <= needed[1] + 4


@given(boxes=walks())
def test_is_square_for_a_square_model(boxes):
    crop = steady_crop(boxes, FRAME, 1.0)
    assert crop.w == crop.h


@pytest.mark.parametrize("wrong", [1, 3])
def test_wrong_detections_for_a_moment_do_not_count(wrong):
    person = [(300.0 + i, 100.0, 400.0 + i, 400.0) for i in range(60)]
    strays = person.copy()
    strays[30 : 30 + wrong] = [(10.0, 10.0, 30.0, 40.0)] * wrong
    assert steady_crop(strays, FRAME, 1.0) == steady_crop(person, FRAME, 1.0)


def test_a_person_who_goes_elsewhere_stays_in_the_crop():
    boxes = [(20.0, 100.0, 100.0, 300.0)] * 90 + [(500.0, 100.0, 580.0, 300.0)] * 8
    crop = steady_crop(boxes, FRAME, 1.0)
    assert crop.x <= 20
    assert crop.x + crop.w >= 580


def test_a_person_who_is_somewhere_else_in_every_frame_stays_in_the_crop():
    boxes = [(100.0 * i, 100.0, 100.0 * i + 60, 300.0) for i in range(6)]
    crop = steady_crop(boxes, FRAME, 1.0)
    assert crop.x <= 0
    assert crop.x + crop.w >= 560


def test_boxes_outside_the_frame_count_only_inside_it():
    assert steady_crop([(-1000.0, 100.0, 100.0, 300.0)], FRAME, 1.0) == steady_crop([(0, 100, 100, 300)], FRAME, 1.0)


@pytest.mark.parametrize("boxes", [[], [None, None], [(5.0, 5.0, 5.0, 9.0)], [(float("nan"), 0.0, 1.0, 1.0)]])
def test_nobody_is_an_error(boxes):
    with pytest.raises(PoseError, match="no person"):
        steady_crop(boxes, FRAME, 1.0)


@given(crop=crops, size=sizes)
def test_outside_is_the_edge_of_a_picture_and_the_background_of_an_iuv(crop, size):
    random = np.random.default_rng(0)
    picture = random.integers(1, 255, (40, 50, 3), dtype=np.uint8)
    padded = np.pad(picture, ((200, 200), (200, 200), (0, 0)), mode="edge")
    cut = padded[crop.y + 200 : crop.y + crop.h + 200, crop.x + 200 : crop.x + crop.w + 200]
    assert np.array_equal(apply_picture(picture, crop, (crop.h, crop.w)), cut)
    zeros = np.pad(picture, ((200, 200), (200, 200), (0, 0)))
    cut = zeros[crop.y + 200 : crop.y + crop.h + 200, crop.x + 200 : crop.x + crop.w + 200]
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(size, cut.shape, strict=False)
    )
    assert np.array_equal(apply_iuv(picture, crop, size), cut[rows[:, None], columns])


@given(crop=crops, size=sizes)
def test_an_iuv_keeps_its_values_and_their_places(crop, size):
    rows, columns = np.indices((60, 70))
    iuv = np.stack([np.ones_like(rows), columns, rows], axis=-1).astype(np.uint8)  # U, V = the pixel's own place
    result = apply_iuv(iuv, crop, size)
    centres = np.stack(np.meshgrid(np.arange(size[1]) + 0.5, np.arange(size[0]) + 0.5), axis=-1).reshape(-1, 2)
    places = np.floor(centres * [crop.w / size[1], crop.h / size[0]] + [crop.x, crop.y] + 1e-9).astype(int)
    inside = ((places >= 0) & (places < [70, 60])).all(axis=1)
    values = result.reshape(-1, 3)
    assert not values[~inside].any()
    assert np.array_equal(values[inside], np.column_stack([np.ones(inside.sum()), places[inside]]))


@given(crop=crops)
def test_pasting_back_restores_the_frame(crop):
    frame = np.random.default_rng(1).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    cut = apply_picture(frame, crop, (crop.h, crop.w))
    opaque = np.ones(cut.shape[:2], np.float32)
    assert np.array_equal(paste_back(cut, opaque, crop, frame), frame)
    assert np.array_equal(paste_back(np.zeros_like(cut), 0 * opaque, crop, frame), frame)
    black = paste_back(np.zeros_like(cut), opaque, crop, frame)
    rows, columns = np.indices((40, 50))
    inside = (rows >= crop.y) & (rows < crop.y + crop.h) & (columns >= crop.x) & (columns < crop.x + crop.w)
    assert not black[inside].any()
    assert np.array_equal(black[~inside], frame[~inside])


def test_shrinking_averages_and_growing_stays_sharp():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    assert (resize_picture(stripes, (32, 32)) == 100).all()
    edge = np.zeros((16, 16, 3), np.uint8)
    edge[:, 8:] = 200
    grown = resize_picture(edge, (64, 64))[32, :, 0].astype(int)
    assert np.abs(grown[:26]).max() < 20
    assert np.abs(grown[38:] - 200).max() < 20
    assert grown.max() > 200  # Lanczos overshoots at an edge, which is what keeps it sharp; linear never does


def test_a_person_in_a_crop_comes_back_to_its_place():
    frame = np.full((120, 160, 3), 90, np.uint8)
    frame[40:100, 60:90] = (200, 40, 40)
    crop = steady_crop([(60.0, 40.0, 90.0, 100.0)], frame.shape[:2], 1.0)
    seen = apply_picture(frame, crop, (256, 256))
    restored = paste_back(seen, np.ones((256, 256), np.float32), crop, np.full_like(frame, 90))
    assert np.abs(restored.astype(int) - frame).mean() < 2


def test_the_whole_frame_is_in_the_full_crop() -> None:
    for shape, aspect in (((720, 1280), 1.0), ((1280, 720), 1.0), ((100, 100), 0.75)):
        crop = full_crop(shape, aspect)
        assert crop.x <= 0
        assert crop.y <= 0
        assert crop.x + crop.w >= shape[1]
        assert crop.y + crop.h >= shape[0]
        assert crop.w / crop.h == pytest.approx(aspect, abs=0.01)


def test_a_tracking_crop_follows_smoothly_and_loses_nobody() -> None:
    jitter = np.random.default_rng(0).normal(0, 3, 60)
    boxes = [(100 + 8 * k + jitter[k], 50.0, 160 + 8 * k + jitter[k], 250.0) for k in range(60)]
    holes = [None if k in (20, 21, 22) else box for k, box in enumerate(boxes)]
    crops = tracking_crops(holes, (300, 720), 1.0, smoothing=6)
    assert len({(crop.w, crop.h) for crop in crops}) == 1
    assert crops[0].w < 400  # a fixed crop would need 600
    for crop, box in zip(crops, holes, strict=True):
        if box is not None:
            assert crop.x <= box[0] <= min(box[2], 720) <= crop.x + crop.w
    steps = np.diff([crop.x for crop in crops])
    assert np.abs(np.diff(steps)).max() <= 3  # the path bends gently, whatever the boxes do


def test_a_tracking_crop_jumps_at_a_cut() -> None:
    boxes = [(20.0, 50.0, 80.0, 250.0)] * 5 + [None] + [(600.0, 50.0, 660.0, 250.0)] * 5
    cut = [index == 5 for index in range(11)]
    places = [crop.x for crop in tracking_crops(boxes, (300, 720), 1.0, 6, cuts=cut)]
    assert len(set(places[:5])) == len(set(places[5:])) == 1
    assert places[5] - places[4] == 580
    assert len({crop.x for crop in tracking_crops(boxes, (300, 720), 1.0, 6)}) > 2


def test_tracking_nobody_is_refused() -> None:
    with pytest.raises(PoseError):
        tracking_crops([None, None], (100, 100), 1.0, 3)
