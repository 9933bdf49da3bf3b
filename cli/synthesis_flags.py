"""The flags that `run` and `pose` share. Each may be absent: defaults live in `mcld_anim.options.run`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

Source = Annotated[Path | None, typer.Option("--source", "-s", help="Photo of the person to show.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="Result; named after the inputs if absent.")]
Model = Annotated[str | None, typer.Option(help="auto, tiny (embedded), mcld-sd15 (pulled) or a FOLDER of weights.")]
Device = Annotated[str | None, typer.Option(help="auto, cuda, mps or cpu.")]
Dtype = Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the start noise.")]
Steps = Annotated[int | None, typer.Option(help="DDIM steps.")]
Guidance = Annotated[float | None, typer.Option(help="Classifier-free guidance scale; 1 is off.")]
Densepose = Annotated[
    str | None, typer.Option(help="auto, tiny, detectron2, torchscript, or the PATH of precomputed IUV.")
]
PoseDensepose = Annotated[str | None, typer.Option("--densepose", help="auto, tiny, detectron2 or torchscript.")]
Face = Annotated[str | None, typer.Option(help="auto, tiny, insightface, dlib or none.")]
Retarget = Annotated[
    str | None,
    typer.Option(help="off, scale (the driving body as tall as the source's) or limbs (its proportions as well)."),
]
SideBySide = Annotated[
    bool | None, typer.Option("--side-by-side", help="Add the source and the driving pose to the picture.")
]
Overwrite = Annotated[bool | None, typer.Option("--overwrite", help="Replace outputs that exist.")]
Preset = Annotated[str | None, typer.Option(help="fast, balanced or best.")]
Config = Annotated[Path | None, typer.Option(help="YAML file with any of these options; flags win over it.")]


def ran_with(summary: Mapping[str, Any]) -> str:
    """Which of the choices that were left open were taken, from the summary of a report."""
    face = summary["face_backend"] or "none"
    return f"model {summary['model']}, densepose {summary['densepose_backend']}, face {face}"
