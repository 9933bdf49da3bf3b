"""`mcld-anim pose`: one photo and one pose become one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import synthesis_flags as shared
from mcld_anim.cli.progress import StageBars
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import PoseOptions

Pose = Annotated[
    Path | None, typer.Option("--pose", "-p", help="Picture of a person, or IUV: picture, archive or folder.")
]


def command(
    source: shared.Source = None,
    pose: Pose = None,
    output: shared.Output = None,
    model: shared.Model = None,
    preset: shared.Preset = None,
    steps: shared.Steps = None,
    guidance: shared.Guidance = None,
    seed: shared.Seed = None,
    device: shared.Device = None,
    dtype: shared.Dtype = None,
    densepose: shared.PoseDensepose = None,
    face: shared.Face = None,
    retarget: shared.Retarget = None,
    side_by_side: shared.SideBySide = None,
    overwrite: shared.Overwrite = None,
    config: shared.Config = None,
) -> None:
    """Show the person of a photo in the pose of another picture or of an IUV file."""
    options = resolve_options(PoseOptions, locals())
    from mcld_anim.run.transfer import transfer

    with StageBars() as bars:
        result = transfer(options, progress=bars.update, on_event=bars.tell)
    typer.echo(shared.ran_with(result.summary), err=True)
    typer.echo(result.output)
