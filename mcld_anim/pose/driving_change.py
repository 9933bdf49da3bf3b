"""`--retarget` in a run: both bodies are measured once, giving one change for all frames and the events about it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from mcld_anim.core.arrays import Iuv
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.options.run import RetargetName
from mcld_anim.pose.proportions import DrivingBody, Proportions, height_ratio, measure_clip, measure_photo
from mcld_anim.pose.retarget import Change, change_between

RETARGET_STAGE = "proportions"
NOTABLE_HEIGHT_LOSS = 0.01
"""Least shortfall of the height factor that is reported."""


def driving_change(
    retarget: RetargetName, source: Iuv, frames: Iterable[Iuv], keep_height: bool, stages: Stages
) -> Change | None:
    """The change from the person of `frames` to that of the photo's IUV `source`; None if nothing changes.

    Both have the model's frame size: the person becomes as tall as in the photo, if all frames have room for it.
    keep_height: only the proportions change, as in a scene that shows how tall its person is.
    """
    if retarget == "off":
        return None
    with stages.timed(RETARGET_STAGE):
        mine, driving = measure_photo(source), measure_clip(frames)
    ratio = height_ratio(mine, driving.proportions)
    if ratio is None:
        message = "the source photo and the driving video have no visible length in common (trunk, head or legs): "
        message += f"--retarget {retarget} was left out"
        stages.emit(Event("retarget_left_out", message))
        return None
    height = 1.0 if keep_height else _height(ratio, driving, stages)
    change = change_between(mine, driving.proportions, height, retarget == "limbs")
    if retarget == "limbs":
        _report_unseen("the source photo", mine, stages)
        _report_unseen("the driving video", driving.proportions, stages)
    smallest, largest = (f(np.concatenate([change.along, change.across])) for f in (np.min, np.max))
    message = f"the driving body was made {height:.2f} times as tall"
    if retarget == "limbs":
        message += f" and its parts {smallest:.2f} to {largest:.2f} times as long and wide, to match the source photo"
    stages.emit(Event("retargeted", message))
    return change


def _height(ratio: float, driving: DrivingBody, stages: Stages) -> float:
    """The factor of the person's height, within the room of the frame."""
    height = min(ratio, max(1.0, driving.room))
    if height < ratio - NOTABLE_HEIGHT_LOSS:
        message = f"to be as tall as in the source photo, the person would grow {ratio:.2f} times, but the frame has"
        stages.emit(Event("retarget_limited", f"{message} room for {height:.2f} times only"))
    return height


def _report_unseen(where: str, body: Proportions, stages: Stages) -> None:
    if body.unseen:
        message = f"{where} does not show {', '.join(body.unseen)}: these parts are only scaled with the height"
        stages.emit(Event("proportions_unseen", message))
