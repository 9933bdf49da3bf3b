"""Proportions measured from IUV, against people of known build."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcld_anim.pose.proportions import (
    LENGTH_SEGMENTS,
    WIDTH_SEGMENTS,
    Proportions,
    height_ratio,
    measure_clip,
    measure_photo,
)
from mcld_anim.synthetic.motion import Pose
from mcld_anim.synthetic.person import Person, person_of


@pytest.mark.parametrize("factor", [0.85, 1.1])
def test_stature_is_measured(draw, steps: list[Pose], stocky: Person, factor: float) -> None:
    other = person_of(replace(stocky.identity, stature=stocky.identity.stature * factor))
    source = measure_photo(draw(other))
    driving = measure_clip(draw(stocky, pose) for pose in steps).proportions
    assert not source.unseen
    assert not driving.unseen
    assert height_ratio(source, driving) == pytest.approx(factor, abs=0.025)


def test_longer_legs_are_measured_and_nothing_else_is_longer(draw, stocky: Person, long_legged: Person) -> None:
    before, after = measure_photo(draw(stocky)), measure_photo(draw(long_legged))
    ratios = {name: after.lengths[name] / before.lengths[name] for name in LENGTH_SEGMENTS}
    assert ratios["leg"] == pytest.approx(1.15, abs=0.02)
    for name in ("trunk", "head", "arm"):
        assert ratios[name] == pytest.approx(1, abs=0.03)
    for name in WIDTH_SEGMENTS:
        assert after.widths[name] / before.widths[name] == pytest.approx(1, abs=0.06)


def test_a_photo_and_a_dance_of_one_person_agree(draw, steps: list[Pose], slim: Person) -> None:
    """Including foreshortened limbs, raised arms and bent knees."""
    photo = measure_photo(draw(slim))
    dance = measure_clip(draw(slim, pose) for pose in steps).proportions
    assert height_ratio(photo, dance) == pytest.approx(1, abs=0.02)
    for name in ("trunk", "head", "leg"):
        assert photo.lengths[name] / dance.lengths[name] == pytest.approx(1, abs=0.03)
    for name in WIDTH_SEGMENTS:
        assert photo.widths[name] / dance.widths[name] == pytest.approx(1, abs=0.12)


def test_a_hidden_side_is_taken_from_the_other(draw, stocky: Person) -> None:
    whole = draw(stocky)
    one_sided = whole.copy()
    one_sided[np.isin(whole[..., 0], (5, 8, 10, 12, 14, 4, 15, 17, 19, 21))] = 0  # the left leg and arm
    seen = measure_photo(one_sided)
    assert not seen.unseen
    for name in ("leg", "arm"):
        assert seen.lengths[name] / measure_photo(whole).lengths[name] == pytest.approx(1, abs=0.03)


def test_what_is_not_shown_is_not_guessed(draw, stocky: Person) -> None:
    iuv = draw(stocky)
    upper = iuv.copy()
    upper[np.isin(iuv[..., 0], range(5, 15))] = 0  # feet and legs
    assert measure_photo(upper).unseen == ("leg length", "thigh width", "shin width")
    head = iuv.copy()
    head[iuv[..., 0] < 23] = 0
    assert set(measure_photo(head).lengths) == {"head"}
    assert height_ratio(measure_photo(upper), measure_photo(iuv)) == pytest.approx(1, abs=0.03)  # by trunk and head


def test_nobody_has_no_proportions() -> None:
    nobody = measure_photo(np.zeros((64, 64, 3), np.uint8))
    assert (nobody.lengths, nobody.widths) == ({}, {})
    assert height_ratio(nobody, nobody) is None
    assert (
        height_ratio(Proportions({"arm": 100.0}, {}), Proportions({"arm": 90.0}, {})) is None
    )  # no part of the height


def test_limbs_that_point_at_the_camera_are_not_measured(draw, stocky: Person) -> None:
    kicking = Pose({f"leg_forward.{side}": 1.3 for side in "LR"})
    assert "leg" not in measure_photo(draw(stocky, kicking)).lengths


def test_the_room_of_a_frame_is_what_the_body_may_grow(draw, stocky: Person) -> None:
    iuv = draw(stocky)
    room = measure_clip([iuv]).room
    rows = np.flatnonzero((iuv[..., 0] > 0).any(1))
    bottom, height = rows[-1] + 1, len(rows)
    assert room == pytest.approx((bottom - 0.02 * len(iuv)) / height)
    reaching = draw(stocky, Pose({"arm_raise.L": 0.5, "arm_raise.R": 0.5}))
    assert measure_clip([iuv, reaching]).room <= room  # every frame has to hold the body
    cut = iuv[rows[0] + 5 :, :]  # the head is cut off by the frame: no reason to stay small
    assert measure_clip([cut]).room > room
