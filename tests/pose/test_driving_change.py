"""`driving_change`: the measurements of a run, the limits of growth, and the events."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.core.arrays import Iuv
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages, ignore_progress
from mcld_anim.pose.driving_change import RETARGET_STAGE, driving_change
from mcld_anim.synthetic.person import Rendering


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def stages(told: list[Event]) -> Stages:
    return Stages(ignore_progress, told.append)


def kinds(told: list[Event]) -> list[str]:
    return [event.kind for event in told]


def smaller(iuv: Iuv) -> Iuv:
    """The frame at half size, centred in one of the original size."""
    small, made = iuv[::2, ::2], np.zeros_like(iuv)
    top, left = (len(iuv) - len(small)) // 2, (iuv.shape[1] - small.shape[1]) // 2
    made[top : top + len(small), left : left + small.shape[1]] = small
    return made


def test_off_measures_nothing(photo: Rendering, stages: Stages, told: list[Event]) -> None:
    def frames():
        raise AssertionError("a frame was asked for")
        yield

    assert driving_change("off", photo.iuv, frames(), False, stages) is None
    assert (told, stages.seconds) == ([], {})


def test_scale_gives_every_segment_the_height_of_the_photo(
    photo: Rendering, other_photo: Rendering, stages: Stages, told: list[Event]
) -> None:
    change = driving_change("scale", smaller(photo.iuv), [other_photo.iuv], False, stages)
    assert change is not None
    assert np.ptp(change.along) == np.ptp(change.across) == 0
    assert change.along[0] == change.across[0] == pytest.approx(0.5, abs=0.1)
    assert kinds(told) == ["retargeted"]
    assert f"{change.along[0]:.2f} times as tall" in told[0].message
    assert stages.seconds[RETARGET_STAGE] > 0


def test_nobody_grows_out_of_the_frame(photo: Rendering, stages: Stages, told: list[Event]) -> None:
    change = driving_change("scale", photo.iuv, [smaller(photo.iuv)], False, stages)
    assert change is not None
    assert 1 < change.along[0] < 1.9  # from the middle of the frame upwards there is no room for twice the height
    assert kinds(told) == ["retarget_limited", "retargeted"]
    assert "would grow 2.0" in told[0].message or "would grow 1.9" in told[0].message


def test_in_a_scene_the_height_is_kept_and_the_proportions_are_not(
    photo: Rendering, other_photo: Rendering, stages: Stages, told: list[Event]
) -> None:
    change = driving_change("limbs", photo.iuv, [smaller(other_photo.iuv)], True, stages)
    assert change is not None
    assert np.median(change.along) == pytest.approx(1, abs=0.06)
    assert np.ptp(change.across) > 0.02
    assert kinds(told) == ["retargeted"]
    assert "1.00 times as tall" in told[0].message


def test_what_is_not_seen_is_told(photo: Rendering, other_photo: Rendering, stages: Stages, told: list[Event]) -> None:
    upper = photo.iuv.copy()
    upper[np.isin(upper[..., 0], range(5, 15))] = 0
    change = driving_change("limbs", upper, [other_photo.iuv], False, stages)
    assert change is not None
    assert kinds(told)[0] == "proportions_unseen"
    assert "the source photo does not show leg length, thigh width, shin width" in told[0].message


def test_without_anything_in_common_the_run_goes_on_unchanged(
    photo: Rendering, other_photo: Rendering, stages: Stages, told: list[Event]
) -> None:
    hand = photo.iuv.copy()
    hand[hand[..., 0] != 3] = 0
    assert driving_change("limbs", hand, [other_photo.iuv], False, stages) is None
    assert kinds(told) == ["retarget_left_out"]
