"""`--attention-maps` of a clip: OUT.attention.png shows where each condition acts in frames from all of it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from mcld_anim.body.clip import clip_frames
from mcld_anim.core.pictures import write_picture
from mcld_anim.core.work_folder import Work
from mcld_anim.report.attention import attention_picture
from mcld_anim.run.clip import Clip
from mcld_anim.sampling.photo_pixels import PhotoPixels

ROWS = 4
"""Frames shown, from the first to the last."""


def write_attention(clip: Clip, work: Work) -> tuple[Path, ...]:
    """Write the picture into the work folder; returns its final name, or nothing where there is none.

    The frames are made again for it, without blending, so that it does not depend on where a run was interrupted.
    """
    maker = clip.maker()
    if not clip.options.attention_maps or isinstance(maker, PhotoPixels):
        return ()
    total, shown = len(clip.driving), []
    for index in sorted({round(row * (total - 1) / (ROWS - 1)) for row in range(ROWS)}):
        poses = clip.scene.poses(work.new, clip.stages, index)
        shown += [maker.attention(frame) for frame in islice(clip_frames(poses, index), 1)]
    write_picture(work.made.attention, attention_picture(shown))
    return (work.outputs.attention,)
