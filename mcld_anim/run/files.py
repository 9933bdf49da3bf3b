"""Every file of a run, written from its frames; and the rehearsal of that before the first frame is made."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.names import write_json
from mcld_anim.core.outputs import OutputFiles, publish
from mcld_anim.core.stages import Stages
from mcld_anim.report.frames import FrameReport, frame_row
from mcld_anim.report.page import write_page
from mcld_anim.report.thumbnails import Thumbnails
from mcld_anim.run.frames import Clip, Frame
from mcld_anim.run.page import run_page
from mcld_anim.run.record import describe_run, describe_summary
from mcld_anim.run.writer import open_result, result_size
from mcld_anim.video.audio import AudioSource


def write_files(
    clip: Clip,
    sound: AudioSource | None,
    frames: Generator[Frame],
    outputs: OutputFiles,
    folder: Path,
    checksums: Checksums,
) -> dict[str, Any]:
    """Write the files of a run into `folder`, under the names of `outputs`; returns the summary of the report."""
    made, stages = outputs.inside(folder), clip.stages
    thumbnails = Thumbnails(len(clip.driving), clip.scene.picture, clip.source.face, clip.source.picture)
    with FrameReport(made.report_json, made.report_csv) as report:
        with open_result(made.result, clip, sound) as video, closing(frames):
            for frame in frames:
                with stages.timed("video"):
                    video.write(frame)
                report.add(frame.row)
                thumbnails.add(frame.row, frame.shown, frame.face)
        summary = report.finish(describe_summary(clip.models, clip.source, stages))
    record = describe_run(
        clip.options, outputs.result, clip.models, clip.settings, checksums, stages, clip.scene.chosen
    )
    write_json(made.run_json, record)
    page = run_page(clip.options, outputs, made.result, clip.driving.fps, thumbnails, summary, record)
    write_page(made.report_html, made.report_csv, page)
    return summary


def rehearse(clip: Clip, sound: AudioSource | None, outputs: OutputFiles, work: Path, checksums: Checksums) -> None:
    """Write every file with one blank frame, move it and sync its folder, all inside `work`, and remove it again.

    Raises what would be raised at the end of the run.
    """
    quiet = replace(clip, stages=Stages(on_event=lambda event: None))
    written, moved = work / "rehearsal", work / "rehearsed"
    for folder in (written, moved):
        folder.mkdir()
    write_files(quiet, sound, _blank_frame(quiet), outputs, written, checksums)
    publish(outputs.inside(written), outputs.inside(moved), overwrite=False)
    for folder in (written, moved):
        shutil.rmtree(folder)


def _blank_frame(clip: Clip) -> Generator[Frame]:
    """One frame of the result's size without content."""
    channels = 4 if clip.options.background == "transparent" else 3
    picture, shown = np.zeros((*result_size(clip), channels), np.uint8), np.zeros_like(clip.scene.picture)
    row = frame_row(0, clip.driving.time(0), person_found=True, face=None, similarity=None, change=None)
    yield Frame(picture, row, np.zeros_like(shown), shown, face=None)
