"""An IUV brought to a matte: shifted meshes come back, labels stay labels, nothing else changes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import FOCAL, BodyMotion, BodyShape
from mcld_anim.body.skeleton import CONTROLS, SHAPES
from mcld_anim.core.arrays import Iuv
from mcld_anim.pose.matte_alignment import aligned, aligned_body
from mcld_anim.synthetic.person import Person


@pytest.fixture(scope="module")
def iuv(draw: Callable[..., Iuv], stocky: Person) -> Iuv:
    return draw(stocky)


def matte_of(iuv: Iuv) -> np.ndarray:
    return (iuv[..., 0] > 0).astype(np.uint8) * 255


def shifted(iuv: Iuv, right: int, down: int) -> Iuv:
    matrix = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return np.asarray(cv2.warpAffine(iuv, matrix, (iuv.shape[1], iuv.shape[0]), flags=cv2.INTER_NEAREST))


def overlap(iuv: Iuv, matte: np.ndarray) -> float:
    mesh, person = iuv[..., 0] > 0, matte > 127
    return float((mesh & person).sum() / (mesh | person).sum())


@pytest.mark.parametrize(("right", "down"), [(3, 0), (-3, 0), (0, 3), (2, -2)])
def test_a_shifted_mesh_comes_back(iuv: Iuv, right: int, down: int) -> None:
    moved = shifted(iuv, right, down)
    assert overlap(moved, matte_of(iuv)) < 0.88
    found = aligned(moved, matte_of(iuv))
    assert overlap(found, matte_of(iuv)) > 0.97
    inside = iuv[..., 0] > 0
    before, after = ((one[..., 0] == iuv[..., 0])[inside].mean() for one in (moved, found))
    assert after > max(0.9, before + 0.03)


def test_a_mesh_that_fits_stays(iuv: Iuv) -> None:
    found = aligned(iuv, matte_of(iuv))
    assert overlap(found, matte_of(iuv)) > 0.995
    inside = iuv[..., 0] > 0
    assert (found[..., 0] == iuv[..., 0])[inside].mean() > 0.985
    assert np.abs(found[inside][:, 1:].astype(int) - iuv[inside][:, 1:]).mean() < 4


def test_labels_stay_labels(iuv: Iuv) -> None:
    given = {tuple(pixel) for pixel in iuv.reshape(-1, 3).tolist()}
    found = aligned(shifted(iuv, 3, 1), matte_of(iuv))
    assert {tuple(pixel) for pixel in found.reshape(-1, 3).tolist()} <= given  # nothing is mixed
    assert (found.shape, found.dtype) == (iuv.shape, np.uint8)


def test_hair_and_clothes_take_the_surface_beside_them(iuv: Iuv) -> None:
    wide = cv2.dilate(matte_of(iuv), np.ones((7, 7), np.uint8))
    found = aligned(iuv, wide)
    assert overlap(found, wide) > 0.95
    rows, columns = np.nonzero(iuv[..., 0])
    assert found[rows.min() - 2, columns[rows.argmin()], 0] == iuv[rows.min(), columns[rows.argmin()], 0]


def test_an_empty_matte_or_mesh_changes_nothing(iuv: Iuv) -> None:
    assert np.array_equal(aligned(iuv, np.zeros(iuv.shape[:2], np.uint8)), iuv)
    assert not aligned(np.zeros_like(iuv), matte_of(iuv)).any()
    faint = matte_of(iuv) // 255 * 127  # nowhere more than half
    assert np.array_equal(aligned(iuv, faint), iuv)


def test_what_lies_far_from_the_mesh_stays_background(iuv: Iuv) -> None:
    matte = matte_of(iuv)
    matte[:40, :40] = 255  # a lamp that the network takes for a person
    found = aligned(iuv, matte)
    assert not found[:40, :40].any()
    assert overlap(found, matte_of(iuv)) > 0.98


def test_mesh_along_the_outline_is_cut_and_a_hole_far_inside_is_not_trusted(iuv: Iuv) -> None:
    matte = matte_of(iuv)
    narrow = cv2.erode(matte, np.ones((3, 3), np.uint8))
    found = aligned(iuv, narrow)
    assert overlap(found, narrow) > 0.97
    unseen = matte.copy()
    unseen[140:] = 0  # the matte loses the lower legs altogether: the mesh knows better
    kept = aligned(iuv, unseen)
    below = iuv[160:, :, 0] > 0
    assert (kept[160:, :, 0] > 0)[below].mean() > 0.9


def test_a_person_cut_by_the_border_keeps_the_border(iuv: Iuv) -> None:
    half, matte = iuv[:100].copy(), matte_of(iuv)[:100]
    found = aligned(shifted(half, 2, 0), matte)
    assert overlap(found, matte) > 0.96
    assert (found[-1, :, 0] > 0).sum() == pytest.approx((half[-1, :, 0] > 0).sum(), abs=4)


def test_a_drawn_body_is_aligned_like_its_iuv() -> None:
    controls = np.tile(np.eye(3, dtype=np.float32), (1, len(CONTROLS), 1, 1))
    camera = np.array([[0, 3.2, 0]], np.float32)
    motion = BodyMotion(BodyShape(np.zeros(SHAPES), 1.0), controls, camera, FOCAL * 256, (256, 192))
    drawn = BodyPainter(motion.shape).drawn(motion, 0)
    matte = matte_of(shifted(drawn.iuv, 3, -2))
    made = aligned_body(drawn, matte)
    assert np.array_equal(made.iuv, aligned(drawn.iuv, matte))
    assert overlap(made.iuv, matte) > 0.97
    assert np.array_equal(made.points, drawn.points)
