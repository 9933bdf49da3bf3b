"""A fitted body bent to an outline: it covers the clothes, keeps what is not outlined, and takes them along."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import BodyMotion
from mcld_anim.body.outline import mean_offsets, outline, outline_offsets
from mcld_anim.body.rig import load_body
from mcld_anim.body.smooth_mesh import stretched_over

SIZE = (240, 180)


@pytest.fixture(scope="module")
def coat(standing: BodyMotion, painter: BodyPainter) -> np.ndarray:
    """A mask four pixels wider than the body all around but at the hands: some five centimetres."""
    parts = painter.drawn(standing, 0).iuv[..., 0]
    clothed = ((parts > 0) & (parts != 3) & (parts != 4)).astype(np.uint8)
    return (cv2.dilate(clothed, np.ones((9, 9), np.uint8)) > 0) | (parts > 0)


@pytest.fixture(scope="module")
def coated(standing: BodyMotion, painter: BodyPainter, coat: np.ndarray) -> BodyPainter:
    return painter.bent(outline_offsets(painter, standing, coat))


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_the_drawn_body_takes_the_outline(
    standing: BodyMotion, painter: BodyPainter, coat: np.ndarray, coated: BodyPainter
) -> None:
    assert iou(painter.drawn(standing, 0).person, coat) < 0.8
    assert iou(coated.drawn(standing, 0).person, coat) > 0.95


def test_what_is_away_from_the_outline_stays(coated: BodyPainter) -> None:
    moved = np.linalg.norm(coated.offsets, axis=1)
    body = load_body()
    chest = (np.abs(body.mean_vertices[:, 0]) < 0.03) & (np.abs(body.mean_vertices[:, 2] - 0.35) < 0.1)
    assert chest.any()
    assert moved[chest].max() < 0.015
    assert moved.max() > 0.03
    assert not coated.offsets[:, 1].any()  # nothing moves along the line of sight


def test_hands_keep_their_shape(coated: BodyPainter) -> None:
    hands = load_body().weight("hand", "finger") > 0.999
    assert np.abs(coated.offsets[hands]).max() < 1e-4


def test_clothes_move_with_the_body(coated: BodyPainter, standing: BodyMotion, controls: Callable) -> None:
    raised = replace(standing, controls=controls({"upperarm.L": (0.0, -1.2, 0.0)}).astype(np.float32))
    naked = BodyPainter(standing.shape)
    arm = {4, 15, 17, 19, 21, 16, 18, 20, 22}

    def area(one: BodyPainter) -> int:
        iuv = one.drawn(raised, 0).iuv[:, SIZE[1] // 2 :]  # the left arm is on the right
        return int(np.isin(iuv[..., 0], list(arm)).sum())

    assert area(coated) > 1.25 * area(naked)


def test_clothes_of_a_clip_are_the_mean_of_its_frames(
    standing: BodyMotion, painter: BodyPainter, controls: Callable
) -> None:
    raised = controls({"upperarm.L": (0.0, -1.2, 0.0)}).astype(np.float32)
    clip = replace(
        standing,
        controls=np.concatenate([standing.controls, raised, standing.controls]),
        camera=standing.camera.repeat(3, 0),
    )
    wide = [
        cv2.dilate(painter.drawn(clip, index).person.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        for index in range(3)
    ]
    coated = painter.bent(mean_offsets(painter, clip, wide[:2], (0, 1), ("", "")))
    for index in range(3):
        assert iou(painter.drawn(clip, index).person, wide[index]) < 0.8
        assert iou(coated.drawn(clip, index).person, wide[index]) > 0.9
    # A frame in which nothing can be seen halves what the other says.
    half = painter.bent(mean_offsets(painter, clip, [wide[0], np.zeros(SIZE, bool)], (0, 1), ("", "")))
    once = painter.bent(mean_offsets(painter, clip, wide[:1], (0,), ("",)))
    assert np.allclose(half.offsets, once.offsets / 2, atol=1e-5)


def test_hair_that_the_picture_cuts_off_goes_on(standing: BodyMotion, painter: BodyPainter) -> None:
    """A close-up that ends within the hair: the mesh is round above it, and as thick as beside the picture's edge."""
    near = replace(standing, camera=np.array([[0.0, 0.9, -0.75]], np.float32))
    head = painter.drawn(near, 0).person
    hair = cv2.dilate(head.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (31, 31))) > 0
    cut = int(np.flatnonzero(head.any(1))[0]) + 8  # rows
    seen = replace(near, size=(SIZE[0] - 2 * cut, SIZE[1]))  # the middle stays in the middle
    bent = painter.bent(outline_offsets(painter, seen, hair[cut:-cut])).drawn(near, 0).person
    assert iou(head[:cut], hair[:cut]) < 0.2
    assert iou(bent[:cut], hair[:cut]) > 0.6


def test_it_begins_with_the_painters_own_offsets(standing: BodyMotion, painter: BodyPainter, coat: np.ndarray) -> None:
    ears = painter.dressed(stretched_over(painter.rest, load_body().ears > 0.02))
    assert np.array_equal(outline_offsets(ears, standing, np.zeros(SIZE, bool)), ears.offsets)
    assert iou(ears.bent(outline_offsets(ears, standing, coat)).drawn(standing, 0).person, coat) > 0.95


def test_nothing_to_bend_to(standing: BodyMotion, painter: BodyPainter) -> None:
    assert not outline_offsets(painter, standing, np.zeros(SIZE, bool)).any()
    away = replace(standing, camera=np.array([[9.0, 3.2, 0.0]], np.float32))
    full = np.zeros(SIZE, bool)
    full[60:180, 60:120] = True
    assert not outline_offsets(painter, away, full).any()


def test_the_outline_has_outward_normals_and_no_border() -> None:
    mask = np.zeros((60, 60), bool)
    mask[20:, 10:40] = True  # it goes on below the picture
    places, normals = outline(mask)
    assert places[:, 1].max() < 57
    top = places[:, 1] == 20
    assert np.allclose(normals[top & (places[:, 0] > 15) & (places[:, 0] < 35)], [0, -1], atol=0.05)
