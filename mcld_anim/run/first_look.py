"""The first look at a driving video: it is refused if it shows nobody, before the source is encoded."""

from __future__ import annotations

from contextlib import closing

from mcld_anim.core.ahead import ahead
from mcld_anim.core.errors import PoseError
from mcld_anim.core.stages import Stages
from mcld_anim.run.checks import RunPlan
from mcld_anim.video.probe import frame_count
from mcld_anim.video.read import read_frames

FIRST_LOOK_STAGE = "first look"

LOOKS, MOST_APART = 60, 10
"""Looks at a video, evenly spread, and frames at most from one to the next."""


def check_shows_person(plan: RunPlan, stages: Stages) -> None:
    """Raise PoseError if BlazePose sees nobody in the chosen frames of the driving video."""
    from mcld_anim.pose.body_backend import FRAMES_AHEAD, load_body_backend
    from mcld_anim.pose.first_sight import shows_person

    options, expected = plan.options, frame_count(plan.info, *plan.options.grid)
    every, looked = min(max(1, expected // LOOKS), MOST_APART), 0

    def on_look(done: int) -> None:
        nonlocal looked
        looked += 1
        stages.progress(FIRST_LOOK_STAGE, done, expected)

    with stages.timed(FIRST_LOOK_STAGE):
        frames = read_frames(plan.info, *options.grid, on_event=stages.emit, every=every)
        with closing(ahead(frames, FRAMES_AHEAD)) as decoded:
            found = shows_person(decoded, load_body_backend().networks, on_look)
        if not found:
            raise PoseError(
                f"no person was found in any of {looked} frames of {options.driving} (densepose: body): use a video "
                "that shows a person"
            )
