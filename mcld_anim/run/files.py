"""Every file of a run, written from its frames; and the rehearsal of that before the first frame is made."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.names import write_json
from mcld_anim.core.publishing import publish
from mcld_anim.core.stages import Stages
from mcld_anim.core.work_folder import Work
from mcld_anim.report.frames import FrameReport, frame_row
from mcld_anim.report.page import write_page
from mcld_anim.report.thumbnails import Thumbnails
from mcld_anim.run.clip import Clip
from mcld_anim.run.frame_log import KeptFrame
from mcld_anim.run.frames import Frame
from mcld_anim.run.page import run_page
from mcld_anim.run.record import describe_run, describe_summary
from mcld_anim.run.writer import open_result, result_size
from mcld_anim.video.audio import AudioSource


def write_files(
    clip: Clip,
    sound: AudioSource | None,
    frames: Generator[Frame | KeptFrame],
    work: Work,
    checksums: Checksums,
    resumed_from: int | None = None,
) -> dict[str, Any]:
    """Write the files of a run as `work.made`; returns the summary of the report. `resumed_from`: the first new frame;
    None if none of them was made before."""
    outputs, made, stages = work.outputs, work.made, clip.stages
    thumbnails = Thumbnails(len(clip.driving), clip.scene.picture, clip.photo.faced.face, clip.photo.faced.crop)
    with FrameReport(made.report_json, made.report_csv) as report:
        with open_result(made.result, clip, sound) as video, closing(frames):
            for frame in frames:
                with stages.timed("video"):
                    video.write(frame)
                report.add(frame.row)
                thumbnails.add(frame.row, frame.shown, frame.box)
        summary = report.finish(describe_summary(clip.models, clip.photo.faced.face, stages))
    record = describe_run(
        clip.options, outputs.result, clip.models, clip.weights, clip.settings, checksums, stages, clip.scene.chosen
    )
    write_json(made.run_json, record | {"resumed_from_frame": resumed_from})
    page = run_page(clip.options, outputs, made.result, clip.driving.fps, thumbnails, summary, record)
    write_page(made.report_html, made.report_csv, page)
    return summary


def rehearse(clip: Clip, sound: AudioSource | None, work: Work, checksums: Checksums) -> None:
    """Write every file with one blank frame, and publish it, all inside `work.new`, and remove it again.

    Raises what would be raised at the end of the run.
    """
    quiet = replace(clip, stages=Stages(on_event=lambda event: None))
    place = work.new / "rehearsal"
    inner = Work(work.outputs.inside(place))
    inner.new.mkdir(parents=True)
    write_files(quiet, sound, _blank_frame(quiet), inner, checksums)
    publish(inner.folder, inner.outputs.all, overwrite=False, ends_run=True)
    shutil.rmtree(place)


def _blank_frame(clip: Clip) -> Generator[Frame | KeptFrame]:
    """One frame of the result's size without content."""
    channels = 4 if clip.options.background == "transparent" else 3
    picture, shown = np.zeros((*result_size(clip), channels), np.uint8), np.zeros_like(clip.scene.picture)
    row = frame_row(0, clip.driving.time(0), person_found=True, face=None, similarity=None, change=None)
    yield Frame(picture, row, np.zeros_like(shown), shown, face=None)
