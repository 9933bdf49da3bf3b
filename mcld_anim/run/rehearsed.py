"""A run up to its first frame: inputs and outputs checked, the clip opened, and the end of the run tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mcld_anim.core.stages import Stages
from mcld_anim.core.work_folder import Work, working_folder
from mcld_anim.options.run import RunOptions
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import check_outputs, check_run
from mcld_anim.run.sound import chosen_sound

if TYPE_CHECKING:
    from mcld_anim.run.clip import Clip
    from mcld_anim.video.audio import AudioSource

START_STAGE = "start"


@contextmanager
def rehearsed(options: RunOptions, cache: RunCache, stages: Stages) -> Iterator[tuple[Clip, AudioSource | None, Work]]:
    """The clip, its sound and the work folder, which is held in the block. Raises what would be raised at the end."""
    outputs, plan = check_outputs(options), check_run(options)
    sound = chosen_sound(plan)
    with working_folder(outputs) as work:
        with stages.timed(START_STAGE):
            stages.progress(START_STAGE, 0, 1)
            # Now, not before the checks: they import torch, which takes seconds.
            from mcld_anim.run.clip import open_clip
            from mcld_anim.run.files import rehearse

            stages.progress(START_STAGE, 1, 1)
        cache.check_driving(plan, stages)
        clip = open_clip(plan, cache, stages)
        rehearse(clip, sound, work, cache.checksums)
        yield clip, sound, work
