"""`mcld-anim run`: one photo and one driving video become one video."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import synthesis_flags as shared
from mcld_anim.cli import video_flags
from mcld_anim.cli.progress import StageBars
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import RunOptions

Driving = Annotated[Path | None, typer.Option("--driving", "-d", help="Video whose motion is followed.")]


def command(
    source: shared.Source = None,
    driving: Driving = None,
    output: shared.Output = None,
    fps: Annotated[str | None, typer.Option(help="source (as the driving video), or frames per second.")] = None,
    start: Annotated[float | None, typer.Option(help="Seconds of the driving video to skip.")] = None,
    end: Annotated[float | None, typer.Option(help="Second of the driving video to stop at.")] = None,
    max_frames: Annotated[int | None, typer.Option(help="Frames at most.")] = None,
    audio: Annotated[str | None, typer.Option(help="driving, none, or the PATH of a file with sound.")] = None,
    model: shared.Model = None,
    preset: shared.Preset = None,
    steps: shared.Steps = None,
    guidance: shared.Guidance = None,
    seed: shared.Seed = None,
    noise: Annotated[str | None, typer.Option(help="shared, mixed:ALPHA or independent.")] = None,
    blend: Annotated[float | None, typer.Option(help="Blending of neighbouring frames, 0 (off) to 0.95.")] = None,
    blending: video_flags.Blending = None,
    min_face_similarity: video_flags.MinFaceSimilarity = None,
    retries: video_flags.Retries = None,
    batch_size: Annotated[int | None, typer.Option(help="Frames per network call.")] = None,
    device: shared.Device = None,
    dtype: shared.Dtype = None,
    densepose: shared.Densepose = None,
    face: shared.Face = None,
    retarget: shared.Retarget = None,
    person: video_flags.Person = None,
    framing: video_flags.Framing = None,
    pose_cleanup: video_flags.PoseCleanup = None,
    background: video_flags.Background = None,
    paste_back: video_flags.PasteBack = None,
    crf: Annotated[int | None, typer.Option(help="H.264 quality, 0 (lossless) to 51.")] = None,
    side_by_side: shared.SideBySide = None,
    overwrite: shared.Overwrite = None,
    config: shared.Config = None,
) -> None:
    """Animate the person of a photo with the motion of a driving video."""
    options = resolve_options(RunOptions, locals())
    from mcld_anim.run.animate import animate

    with StageBars() as bars:
        result = animate(options, progress=bars.update, on_event=bars.tell)
    typer.echo(shared.ran_with(result.summary), err=True)
    typer.echo(result.output)
