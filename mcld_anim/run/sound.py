"""The sound of a run's result, written in full to nowhere before any frame is made."""

from __future__ import annotations

from mcld_anim.run.checks import RunPlan
from mcld_anim.video.audio import AudioSource, audio_source, file_sound, writable_sound
from mcld_anim.video.probe import frame_count
from mcld_anim.video.read import frame_grid


def chosen_sound(plan: RunPlan) -> AudioSource | None:
    """The driving video's sound from the first chosen frame, a file's from its beginning, or none.

    Raises VideoError if it cannot be written up to the last chosen frame.
    """
    options, info = plan.options, plan.info
    file, grid = options.audio_file, frame_grid(info, *options.grid)
    if file is None:
        return None
    if options.audio == "driving":
        sound = audio_source(info, float(grid.start), options.audio_codec)
    else:
        sound = file_sound(file, options.audio_codec)
    if sound is None:
        return None
    container = "mov" if options.background == "transparent" else "mp4"
    return writable_sound(sound, frame_count(info, *options.grid) / grid.fps, container)
