"""`mcld-anim densepose`: the DensePose IUV of a video or photo, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli.progress import StageBars


def command(
    input: Annotated[Path, typer.Argument(help="Video or photo of a person.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A .zip archive or a folder; for a photo also .png.")
    ] = None,
    densepose: Annotated[
        str, typer.Option(help="auto (the best one present), tiny (embedded), detectron2 or torchscript.")
    ] = "auto",
    weights: Annotated[Path | None, typer.Option(help="Weights file of the estimator, if not the pulled one.")] = None,
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    person: Annotated[
        str, typer.Option(help="Whom to take: largest, N (from the left, from 1) or x,y (pixels).")
    ] = "largest",
    fps: Annotated[float | None, typer.Option(help="Frames per second; the video's own if absent.")] = None,
    start: Annotated[float, typer.Option(help="Seconds of the video to skip.")] = 0.0,
    end: Annotated[float | None, typer.Option(help="Second of the video to stop at.")] = None,
    max_frames: Annotated[int | None, typer.Option(help="Frames at most.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
) -> None:
    """Write the DensePose IUV of every frame of a video, or of a photo."""
    from mcld_anim.core.device import choose_device
    from mcld_anim.model.choose import choose_alone
    from mcld_anim.options.person import parse_person
    from mcld_anim.run.extract import DensePoseRequest, extract_densepose

    request = DensePoseRequest(
        input=input,
        output=output,
        densepose=choose_alone(densepose),
        weights=weights,
        device=str(choose_device(device)),
        person=parse_person(person),
        fps="source" if fps is None else fps,
        start=start,
        end=end,
        max_frames=max_frames,
        overwrite=overwrite,
    )
    with StageBars() as bars:
        result = extract_densepose(request, bars.update, lambda event: bars.notice(event.message))
        if result.with_person < result.frames:
            bars.notice(f"no person in {result.frames - result.with_person} of {result.frames} frames: held poses")
    typer.echo(f"densepose {request.densepose}", err=True)
    typer.echo(result.output)
