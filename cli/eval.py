"""`mcld-anim eval`: what comes out of real footage, real pictures and data sets, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mcld_anim.cli import eval_metrics, flags
from mcld_anim.cli.progress import stage_display
from mcld_anim.core.durable import check_output
from mcld_anim.core.names import write_json

if TYPE_CHECKING:
    from mcld_anim.batch.simulation import Usage

app = typer.Typer(no_args_is_help=True)
app.command("pairs")(eval_metrics.pairs_command)
app.command("deepfashion")(eval_metrics.deepfashion_command)
app.command("video")(eval_metrics.video_command)
app.command("compare")(eval_metrics.compare_command)

COLUMNS = {
    "PSNR": ("person_psnr", ".2f"),
    "still": ("still_person_psnr", ".2f"),
    "colour": ("mean_colour_person_psnr", ".2f"),
    "warp": ("warp_person_psnr", ".2f"),
    "guess": ("completed_person_psnr", ".2f"),
    "SSIM": ("person_ssim", ".3f"),
    "silhouette": ("silhouette_iou", ".3f"),
    "body": ("body_iou", ".3f"),
    "joints": ("joint_error", ".4f"),
    "jitter": ("jitter_ratio", ".2f"),
    "jumps": ("side_jumps", ".1f"),
    "same face": ("face_same_rate", ".2f"),
    "poses/s": ("poses_per_second", ".2f"),
}
"""Titles of the table's columns, each with its metric and format."""
LEGEND = (
    "PSNR (dB), SSIM: inside the person's mask; still, colour, warp, guess: PSNR of the source frame standing still, "
    "the person's mean colour, and the warped source without and with a guess of what it does not show. silhouette, "
    "body: IoU of the made person and of the driving IUV with the mask. joints: from the fitted to the seen limbs, of "
    "the person's height. jitter: fitted over seen. jumps: frames in which left and right change places."
)

FILL_COLUMNS = {
    "PSNR": ("psnr", ".2f"),
    "SSIM": ("ssim", ".3f"),
    "texture": ("texture", ".3f"),
    "seconds": ("seconds", ".2f"),
}
FILL_LEGEND = (
    "PSNR (dB), SSIM: inside the hole. texture: distance from the truth's, 0 for equal, 1 where all of it is lost."
)

CLUSTER_LEGEND = (
    "GPUs, storage, driver: share of the time in which they are busy; the fullest breaks first. TB: moved to and from "
    "storage. last start: until the last worker has its models. What is not a flag is assumed, see "
    "mcld_anim/batch/simulation.py."
)


@app.callback()
def evaluate() -> None:
    """Measure results: on real footage, on real pictures, on a data set, of any program."""


@app.command("reenact")
def reenact_command(
    videos: Annotated[list[Path], typer.Argument(metavar="VIDEO...", help="Clips of one person.")],
    source_frame: Annotated[
        list[int],
        typer.Option("--source-frame", help="Index of the frame that is the source; given again: of further photos."),
    ] = [0],  # noqa: B006 - as typer wants lists
    start: flags.Start = None,
    end: flags.End = None,
    max_frames: flags.MaxFrames = None,
    densepose: Annotated[
        str, typer.Option("--densepose", help="Estimator of the driving poses; masks are always BlazePose's.")
    ] = "body",
    model: flags.Model = None,
    device: flags.Device = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the metrics to this JSON file.")] = None,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Animate one frame of each clip with the clip itself, and compare the result with the clip."""
    if json_path is not None:
        check_output(json_path, overwrite=True)
    from mcld_anim.evaluate.reenact import ReenactOptions, reenact

    maybe: dict[str, Any] = {"start": start, "end": end, "max_frames": max_frames, "model": model, "device": device}
    given = {name: value for name, value in maybe.items() if value is not None}
    first, *more = source_frame
    options = ReenactOptions(
        videos=tuple(videos), source_frame=first, more_source_frames=tuple(more), densepose=densepose, **given
    )
    with stage_display() as shown:
        metrics = reenact(options, shown.update, shown.show)
    _print_table(metrics)
    if json_path is not None:
        write_json(json_path, metrics)


@app.command("fill")
def fill_command(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE...", help="Pictures without people.")],
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the metrics to this JSON file.")] = None,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Cut rendered people's silhouettes out of each picture, and compare ways to fill the hole with the picture."""
    if json_path is not None:
        check_output(json_path, overwrite=True)
    from mcld_anim.evaluate.fill import FillOptions, compare_fills

    with stage_display() as shown:
        metrics = compare_fills(FillOptions(tuple(pictures)), shown.update)
    _print_fills(metrics)
    if json_path is not None:
        write_json(json_path, metrics)


@app.command("light")
def light_command(
    people: Annotated[int, typer.Option(min=1, help="Number of rendered people.")] = 12,
    poses: Annotated[int, typer.Option(min=1, help="Poses of each, besides the photo's.")] = 5,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write the figures to this JSON file.")] = None,
) -> None:
    """Measure on rendered people how brightness follows the surface: the light that warped photos get."""
    if json_path is not None:
        check_output(json_path, overwrite=True)
    from mcld_anim.evaluate.light import LightOptions, light
    from mcld_anim.pose.body_backend import load_body_backend

    with stage_display() as shown:
        figures = light(
            LightOptions(people, poses), load_body_backend(), lambda done, total: shown.update("people", done, total)
        )
    for name, value in figures.items():
        typer.echo(f"{name:10} {value:.3f}" if isinstance(value, float) else f"{name:10} {value}")
    if json_path is not None:
        write_json(json_path, figures)


@app.command("cluster")
def cluster_command(
    jobs: Annotated[int, typer.Option("--jobs", help="Rows of the batch.")] = 10_000,
    gpus: Annotated[int, typer.Option("--gpus", help="GPUs, each with one worker.")] = 100,
    frames: Annotated[int, typer.Option("--frames", help="Frames of each row's video.")] = 300,
    frame_seconds: Annotated[float, typer.Option("--frame-seconds", help="Seconds of a GPU for one frame.")] = 2.0,
    storage: Annotated[float, typer.Option("--storage", help="GB/s of the storage that all share.")] = 1.0,
) -> None:
    """Simulate a batch on a cluster: what it asks of storage, loading and scheduling, and what breaks first."""
    from mcld_anim.batch.simulation import Cluster, cases, simulate

    cluster = Cluster(jobs=jobs, gpus=gpus, frames=frames, frame_seconds=frame_seconds, storage_gb=storage)
    _print_usage({name: simulate(case) for name, case in cases(cluster).items()})


def _print_usage(found: Mapping[str, Usage]) -> None:
    """A row per case."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table("case", "hours", "GPUs", "storage", "driver", "TB", "last start", "fullest", box=SIMPLE_HEAD)
    for name, usage in found.items():
        shares = (f"{100 * share:.0f} %" for share in (usage.gpu, usage.storage, usage.driver))
        start = f"{usage.last_start / 60:.0f} min"
        table.add_row(name, f"{usage.hours:.1f}", *shares, f"{usage.terabytes:.1f}", start, usage.fullest)
    console = Console()
    if not console.is_terminal:
        console.width = 120
    console.print(table)
    console.print(CLUSTER_LEGEND, highlight=False)


def _print_fills(metrics: Mapping[str, Any]) -> None:
    """A row per method."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table("method", *FILL_COLUMNS, box=SIMPLE_HEAD, pad_edge=False)
    for name, means in metrics.items():
        if isinstance(means, Mapping):
            table.add_row(
                name, *("-" if means[key] is None else f"{means[key]:{form}}" for key, form in FILL_COLUMNS.values())
            )
    console = Console()
    console.print(table)
    console.print(f"{metrics['holes']} holes in {metrics['pictures']} pictures. {FILL_LEGEND}", highlight=False)


def _print_table(metrics: Mapping[str, Any]) -> None:
    """A row per clip, and the mean."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table("clip", "person in", *COLUMNS, "s/frame", box=SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"  # nothing is cut off, however narrow the terminal
    for clip in (*metrics["clips"], {"clip": "mean", **metrics["mean"]}):
        frames = f"{clip['frames_with_person']:g} of {clip['frames']:g}"
        numbers = ("-" if clip[name] is None else format(clip[name], form) for name, form in COLUMNS.values())
        table.add_row(clip["clip"], frames, *numbers, f"{sum(clip['seconds_per_frame'].values()):.2f}")
    console = Console()
    if not console.is_terminal:
        console.width = 160  # a file has no narrow lines to fold
    console.print(table)
    console.print(LEGEND, highlight=False)
