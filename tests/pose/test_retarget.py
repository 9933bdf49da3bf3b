"""Retargeted IUV, with the source's build in the driver's pose, against the source rendered in that pose."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcld_anim.body.surface import PARENTS, SEGMENTS, rest_body
from mcld_anim.core.arrays import Iuv
from mcld_anim.pose.body_fit import fit_body
from mcld_anim.pose.proportions import Proportions, height_ratio, measure_clip, measure_photo
from mcld_anim.pose.retarget import Change, change_between, changed_maps, retargeted
from mcld_anim.synthetic.motion import Pose
from mcld_anim.synthetic.person import Person, person_of

COUNT = len(SEGMENTS)


def overlap(first: Iuv, second: Iuv) -> float:
    """Intersection over union of the people."""
    one, other = first[..., 0] > 0, second[..., 0] > 0
    return float((one & other).sum() / (one | other).sum())


def lowest(iuv: Iuv) -> int:
    return int(np.flatnonzero((iuv[..., 0] > 0).any(1))[-1])


def pieces_and_cracks(iuv: Iuv) -> tuple[int, int]:
    """Pixels of the person outside its largest piece, and of small holes; an arm may enclose large ones."""
    person = (iuv[..., 0] > 0).astype(np.uint8)
    _, _, inside, _ = cv2.connectedComponentsWithStats(person, connectivity=8)
    _, around, outside, _ = cv2.connectedComponentsWithStats(1 - person, connectivity=4)
    cracks = [area for k, area in enumerate(outside[:, cv2.CC_STAT_AREA]) if k not in (0, around[0, 0]) and area <= 6]
    areas = inside[1:, cv2.CC_STAT_AREA]
    return int(areas.sum() - areas.max()), int(sum(cracks))


def uniform(along: float, across: float, scale: float = 75.0) -> Change:
    return Change(np.full(COUNT, along, float), np.full(COUNT, across, float), scale)


def measured_change(draw, source: Person, driver: Person, steps: list[Pose], limbs: bool) -> Change:
    photo, driving = measure_photo(draw(source)), measure_clip(draw(driver, pose) for pose in steps)
    ratio = height_ratio(photo, driving.proportions)
    assert ratio is not None
    return change_between(photo, driving.proportions, ratio, limbs)


def test_another_build_comes_nearer_to_the_truth(draw, steps: list[Pose], stocky: Person, slim: Person) -> None:
    """Scores improve from off to scale to limbs."""
    scores = {}
    for way in ("off", "scale", "limbs"):
        change = None if way == "off" else measured_change(draw, slim, stocky, steps, way == "limbs")
        rows = []
        for pose in steps:
            made, truth = draw(stocky, pose), draw(slim, pose)
            made = made if change is None else retargeted(made, change)
            right = (made[..., 0] == truth[..., 0])[truth[..., 0] > 0].mean()
            rows.append((overlap(made, truth), right))
            assert abs(lowest(made) - lowest(truth)) <= 1
        scores[way] = np.mean(rows, axis=0)
    assert (scores["scale"] > scores["off"] + 0.03).all(), scores
    assert scores["limbs"][0] > scores["scale"][0] + 0.02, scores
    assert scores["limbs"][1] > scores["scale"][1] - 0.005, scores  # the parts were right before


def test_longer_legs_become_longer_legs(draw, steps: list[Pose], stocky: Person, long_legged: Person) -> None:
    limbs = measured_change(draw, long_legged, stocky, steps, limbs=True)
    scale = measured_change(draw, long_legged, stocky, steps, limbs=False)
    leg = limbs.along[[k for k, segment in enumerate(SEGMENTS) if segment.name in ("upper leg", "lower leg")]]
    trunk = limbs.along[:2]
    assert leg == pytest.approx(1.15, abs=0.03)
    assert trunk == pytest.approx(1, abs=0.03)
    better = [
        overlap(retargeted(draw(stocky, pose), limbs), draw(long_legged, pose))
        - overlap(retargeted(draw(stocky, pose), scale), draw(long_legged, pose))
        for pose in steps
    ]
    assert min(better) > 0.02


def test_the_driver_as_source_hardly_changes(draw, steps: list[Pose], slim: Person) -> None:
    change = measured_change(draw, slim, slim, steps, limbs=True)
    assert np.abs(np.concatenate([change.along, change.across]) - 1).max() < 0.06
    for pose in steps:
        iuv = draw(slim, pose)
        assert overlap(retargeted(iuv, change), iuv) > 0.93


def test_nothing_to_change_and_nobody_leave_the_frame_as_it_is(draw, stocky: Person) -> None:
    iuv = draw(stocky)
    assert retargeted(iuv, uniform(1, 1)) is iuv
    empty = np.zeros_like(iuv)
    assert np.array_equal(retargeted(empty, uniform(1.2, 0.9)), empty)


@pytest.mark.parametrize("factor", [0.8, 1.15])
def test_scale_is_a_similarity_about_the_ground(draw, steps: list[Pose], stocky: Person, factor: float) -> None:
    for pose in steps[::3]:
        iuv = draw(stocky, pose)
        made = retargeted(iuv, uniform(factor, factor))
        fit = fit_body(iuv)
        assert fit is not None
        hips = float(fit.maps[0, 0] @ np.append(rest_body().joints[0], 1))
        ground = lowest(iuv) + 1
        matrix = np.array([[factor, 0, hips * (1 - factor)], [0, factor, ground * (1 - factor)]])
        matrix[:, 2] += (factor - 1) / 2  # OpenCV counts from the pixels' centres
        expected = cv2.warpAffine(iuv[..., 0], matrix, iuv.shape[1::-1], flags=cv2.INTER_NEAREST)
        assert (made[..., 0] == expected)[(made[..., 0] > 0) | (expected > 0)].mean() > 0.9
        assert abs(lowest(made) - lowest(iuv)) <= 1


def test_who_jumps_goes_on_jumping(draw, steps: list[Pose], stocky: Person, slim: Person) -> None:
    change = measured_change(draw, slim, stocky, steps, limbs=True)
    for rise in (0.0, 0.1, 0.25):
        iuv = draw(stocky, steps[2].changed(rise=rise))
        assert abs(lowest(retargeted(iuv, change)) - lowest(iuv)) <= 1


@pytest.mark.parametrize(("limbs", "trunk"), [(1.3, 0.8), (0.75, 1.2)])
def test_joints_stay_closed_under_strong_changes(
    draw, steps: list[Pose], slim: Person, limbs: float, trunk: float
) -> None:
    """No part is detached and no hole opens that the driving frame did not have."""
    central = np.array([segment.side == "" for segment in SEGMENTS])
    for change in (
        Change(np.ones(COUNT), np.where(central, trunk, limbs), 75.0),
        Change(np.where(central, trunk, limbs), np.ones(COUNT), 75.0),
    ):
        for pose in steps:
            iuv = draw(slim, pose)
            loose, cracks = pieces_and_cracks(retargeted(iuv, change))
            loose_before, cracks_before = pieces_and_cracks(iuv)
            assert loose <= loose_before + 6  # finger tips of a pixel
            assert cracks <= cracks_before + 12  # of thousands of pixels; limbs that touch enclose a few


def test_labels_and_coordinates_are_those_of_the_driving_frame(draw, steps: list[Pose], slim: Person) -> None:
    """No new part appears, and U, V of a part stay within their range."""
    iuv = draw(slim, steps[1])
    made = retargeted(iuv, uniform(1.15, 0.9))
    assert made.dtype == np.uint8
    assert made.shape == iuv.shape
    assert set(np.unique(made[..., 0])) <= set(np.unique(iuv[..., 0]))
    assert not made[made[..., 0] == 0].any()
    for part in np.unique(made[..., 0])[1:]:
        before, after = iuv[iuv[..., 0] == part], made[made[..., 0] == part]
        assert (after[:, 1:].min(0) >= before[:, 1:].min(0)).all()
        assert (after[:, 1:].max(0) <= before[:, 1:].max(0)).all()


def test_what_stood_before_still_stands_before(draw, slim: Person) -> None:
    """An arm across the trunk that becomes wider covers more of it, one that becomes thinner less."""
    crossed = Pose({"arm_raise.L": -0.5, "arm_forward.L": 0.9, "elbow.L": 1.6})
    iuv, central = draw(slim, crossed), np.array([segment.side == "" for segment in SEGMENTS])
    arm = (15, 17, 19, 21)
    before = np.isin(iuv[..., 0], arm).sum()
    wide, thin = (
        retargeted(iuv, Change(np.ones(COUNT), np.where(central, 1.0, factor), 75.0)) for factor in (1.3, 0.75)
    )
    assert np.isin(wide[..., 0], arm).sum() > 1.12 * before
    assert np.isin(thin[..., 0], arm).sum() < 0.88 * before
    inside = cv2.erode(np.isin(iuv[..., 0], arm).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert np.isin(wide[inside, 0], (*arm, 4)).mean() > 0.95


def test_a_frame_is_changed_by_itself_and_always_alike(draw, steps: list[Pose], slim: Person) -> None:
    change = uniform(1.1, 0.95)
    alone = retargeted(draw(slim, steps[3]), change)
    made = [retargeted(draw(slim, pose), change) for pose in steps]
    assert np.array_equal(made[3], alone)


def test_other_views_stay_in_one_piece(draw, stocky: Person, slim: Person) -> None:
    """From the side and from behind, where half of the charts are not seen."""
    photo = measure_photo(draw(slim))
    for yaw in (np.pi / 2, np.pi, -np.pi / 2):
        iuv = draw(stocky, yaw=yaw)
        driving = measure_clip([iuv]).proportions
        ratio = height_ratio(photo, driving)
        assert ratio is not None
        assert ratio == pytest.approx(slim.identity.stature / stocky.identity.stature, abs=0.04)
        made = retargeted(iuv, change_between(photo, driving, ratio, True))
        assert max(pieces_and_cracks(made)) <= 6
        assert abs(lowest(made) - lowest(iuv)) <= 1


def test_parts_that_one_does_not_show_change_as_the_height_does() -> None:
    driving = Proportions({"trunk": 100.0, "leg": 100.0}, {"hips": 100.0, "thigh": 100.0})
    change = change_between(Proportions({"trunk": 80.0}, {"hips": 120.0}), driving, 0.8, True)
    by_name = {segment.name: (change.along[k], change.across[k]) for k, segment in enumerate(SEGMENTS)}
    assert by_name["upper leg"] == (0.8, 0.8)
    assert by_name["head"] == (0.8, 0.8)
    assert by_name["hips"][0] == 0.8
    assert by_name["hips"][1] == pytest.approx(1.2, rel=0.01)


def test_small_differences_are_taken_for_errors_and_absurd_ones_are_bounded() -> None:
    driving = Proportions({"trunk": 100.0, "arm": 100.0}, {"head": 100.0})
    change = change_between(Proportions({"trunk": 100.0, "arm": 102.0}, {"head": 900.0}), driving, 1.0, True)
    by_name = {segment.name: (change.along[k], change.across[k]) for k, segment in enumerate(SEGMENTS)}
    assert 1 < by_name["upper arm"][0] < 1.005
    assert by_name["head"][1] == pytest.approx(1.6, abs=0.01)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.6, 1.6), min_size=2 * COUNT, max_size=2 * COUNT), st.integers(0, 1000))
def test_joints_hold_for_every_change(factors: list[float], seed: int) -> None:
    """In the new maps both segments of a joint agree on its position, if they did so before."""
    body, random = rest_body(), np.random.default_rng(seed)
    maps = np.zeros((COUNT, 2, 4))
    for index, parent in enumerate(PARENTS):
        maps[index, :, :3] = random.normal(0, 60, (2, 3))
        place = np.array([100.0, 90.0]) if parent < 0 else maps[parent] @ np.append(body.joints[index], 1)
        maps[index, :, 3] = place - maps[index, :, :3] @ body.joints[index]
    change = Change(np.array(factors[:COUNT]), np.array(factors[COUNT:]), 75.0)
    new = changed_maps(maps, change)
    assert new[0] @ np.append(body.joints[0], 1) == pytest.approx(maps[0] @ np.append(body.joints[0], 1))
    for index, parent in enumerate(PARENTS):
        joint = np.append(body.joints[index], 1)
        if parent >= 0:
            assert new[index] @ joint == pytest.approx(new[parent] @ joint, abs=1e-6)
        seen, made = maps[index, :, :3] @ body.axes[index], new[index, :, :3] @ body.axes[index]
        assert made == pytest.approx(seen * change.along[index], abs=1e-6)


def test_a_shorter_person_is_as_short_as_measured(draw, stocky: Person) -> None:
    child = person_of(replace(stocky.identity, stature=stocky.identity.stature * 0.7))
    iuv, truth = draw(stocky), draw(child)
    change = change_between(measure_photo(truth), measure_photo(iuv), 0.7, limbs=True)
    assert overlap(retargeted(iuv, change), truth) > 0.88  # limbs are four pixels thin
