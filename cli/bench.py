"""`mcld-anim bench`: how fast this machine runs the networks and the whole command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mcld_anim.cli import flags
from mcld_anim.cli.progress import stage_display
from mcld_anim.core.durable import check_output
from mcld_anim.core.names import write_json

PART_HELP = (
    "machine, embedded, published, frames (whole ones of the published size, by preset) or command; may be repeated. "
    "All, if absent; frames, which take half an hour on a CPU, are left out there."
)
LEGEND = (
    "step: one guided evaluation of the denoiser for one frame; share of the matrix rate of the same run. source, "
    "decode: encoding of a source and the VAE's decoding, in steps. batch: time per frame of a batched step against "
    "one of a single frame. a frame: all from photo and pose to the picture, with its share of the source in a clip of "
    "these frames, without DensePose and encoding. again: the same command with poses and encoded source on disk. "
    "Medians; +-: from the fastest to the slowest repeat, of the median."
)


def command(
    part: Annotated[
        list[str] | None,
        typer.Option("--part", help=PART_HELP),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="What takes long once, without a warm-up: two to three minutes on two cores."),
    ] = False,
    repeats: Annotated[int, typer.Option("--repeats", help="Repeats after one warm-up.")] = 5,
    frames: Annotated[int, typer.Option("--frames", help="Frames of the command's clip.")] = 16,
    batch: Annotated[int, typer.Option("--batch", help="Frames of the batched step, and of a batch of frames.")] = 4,
    preset: Annotated[
        list[str] | None, typer.Option("--preset", help="Preset of the frames; may be repeated. All, if absent.")
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Make the frames with compiled networks, as run --compile does.")
    ] = False,
    device: flags.Device = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Also write everything to this JSON file.")] = None,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="Earlier JSON file: also print the ratios to it.")
    ] = None,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Measure this machine, the networks of both models on random weights, and the whole command."""
    if json_path is not None:
        check_output(json_path, overwrite=True)
    from mcld_anim.bench.bench import BenchOptions, bench, compared, read_bench

    given: dict[str, Any] = {} if device is None else {"device": device}
    if preset:
        given["presets"] = tuple(preset)
    parts = tuple(part) if part else None
    options = BenchOptions(parts, repeats=repeats, frames=frames, batch=batch, compile=compiled, quick=quick, **given)
    old = None if compare is None else read_bench(compare)
    with stage_display() as shown:
        found = bench(options, shown.update)
    if json_path is not None:
        write_json(json_path, found)
    _print(found)
    if old is not None:
        _print_ratios(compared(found, old))


def _print(found: Mapping[str, Any]) -> None:
    """Tables of what was measured."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = 120
    machine = found["machine"]
    console.print(f"{machine['name']}, {machine['device']}, {machine['threads']} threads", highlight=False)
    if "matrix_gflops" in found:
        rates = ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in found["matrix_gflops"].items())
        console.print(f"matrices {rates}; memory {found['memory_gbps']:.1f} GB/s", highlight=False)
    if "embedded" in found or "published" in found:
        table = Table("model", "format", "step", "+-", "share", "source", "decode", "batch", box=SIMPLE_HEAD)
        for model in ("embedded", "published"):
            for name, one in found.get(model, {}).items():
                rate = found.get("matrix_gflops", {}).get(name)
                share = "-" if rate is None else f"{one['gflops'] / rate:.2f}"
                step, costs = one["step"], (f"{one[f'{what}_in_steps']:.2f}" for what in ("source", "decode"))
                spread, seconds = f"{100 * step['spread']:.0f} %", f"{step['median']:.3f} s"
                batch = "-" if one["batch_share"] is None else f"{one['batch_share']:.2f}"
                table.add_row(model, name, seconds, spread, share, *costs, batch)
        console.print(table)
    if "frames" in found:
        table = Table("published, whole frames", "steps", "a frame", "source", "compiling", box=SIMPLE_HEAD)
        for name, one in found["frames"].items():
            seconds = (f"{one[part]:.3f} s" for part in ("seconds_per_frame", "source", "compiling"))
            table.add_row(name, str(one["steps"]), *seconds)
        console.print(table)
    if "command" in found:
        clip = found["command"]
        table = Table(f"run, {clip['frames']} frames", "first bar", "first frame", "whole", "kept", box=SIMPLE_HEAD)
        for name in ("first", "again"):
            seconds = (f"{clip[name]['seconds'][point]:.1f} s" for point in ("first_progress", "first_frame", "whole"))
            table.add_row(name, *seconds, f"{100 * clip[name]['keeping_share']:.1f} %")
        console.print(table)
        stages = Table("stage, seconds", "first", "again", box=SIMPLE_HEAD)
        for stage, seconds in clip["first"]["stages"].items():
            stages.add_row(stage, f"{seconds:.2f}", f"{clip['again']['stages'].get(stage, 0.0):.2f}")
        console.print(stages)
    peaks = ", ".join(f"{kind} {peak / 2**30:.1f} GiB" for kind, peak in found["peak_bytes"].items())
    console.print(f"peak memory of the networks' process: {peaks}", highlight=False)
    console.print(LEGEND, highlight=False)


def _print_ratios(ratios: Mapping[str, float]) -> None:
    """New over old, a line per figure."""
    for path, ratio in ratios.items():
        typer.echo(f"{ratio:7.3f}  {path}")
