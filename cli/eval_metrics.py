"""`mcld-anim eval pairs`, `deepfashion`, `video` and `compare`: thin commands and the table that they print."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mcld_anim.cli import flags
from mcld_anim.cli.progress import say, stage_display
from mcld_anim.core.durable import check_output
from mcld_anim.core.names import JSON_ERRORS, write_json

JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the figures to this JSON file.")]
Size = Annotated[
    list[str] | None, typer.Option("--size", help="256x176 or 512x352, height x width; may be repeated. Absent: both.")
]
EMBEDDED = (
    ", which was trained on rendered people: on photographs its number is no likeness; `mcld-anim models pull "
    "antelopev2` fetches one for photographs."
)

Seed = Annotated[int, typer.Option("--seed", help="Seed of the bootstrap.")]


def pairs_command(
    generated: Annotated[
        Path, typer.Option("--generated", help="Folder of generated pictures, or of folders 256 and 512.")
    ],
    target: Annotated[
        Path, typer.Option("--target", help="Folder of their targets, of equal names, or TARGET of SOURCE_2_TARGET.")
    ],
    source: Annotated[Path | None, typer.Option("--source", help="Folder of their sources.")] = None,
    training: Annotated[
        Path | None,
        typer.Option("--training", help="Folder of the training set, which the published FID compares with."),
    ] = None,
    size: Size = None,
    face: flags.Face = None,
    device: flags.Device = None,
    seed: Seed = 0,
    json_path: JsonFile = None,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Measure generated pictures by FID, LPIPS, SSIM, PSNR and face similarity, as the paper does."""
    if json_path is not None:
        check_output(json_path, overwrite=True)
    from mcld_anim.evaluate.pairs import PairsOptions, evaluate_pairs

    given: dict[str, Any] = {"sizes": tuple(size) if size else None, "face": face, "device": device}
    options = PairsOptions(
        generated=generated,
        target=target,
        source=source,
        training=training,
        seed=seed,
        **{name: value for name, value in given.items() if value is not None},
    )
    with stage_display() as shown:
        figures = evaluate_pairs(options, shown.update, shown.show)
    finish(figures, json_path)


def _asked(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The options among a command's parameters that were given, once its JSON file is known to be writable."""
    if parameters["json_path"] is not None:
        check_output(parameters["json_path"], overwrite=True)
    of_command = ("json_path", "progress")
    return {name: value for name, value in parameters.items() if value is not None and name not in of_command}


def finish(figures: Mapping[str, Any], json_path: Path | None) -> None:
    """Print the table of a measurement, and write its JSON."""
    print_figures(figures)
    if json_path is not None:
        write_json(json_path, figures)


def print_figures(figures: Mapping[str, Any]) -> None:
    """A row per metric, a column per set; below it what is not measured, faces that are missing, and the protocol."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from mcld_anim.evaluate.columns import COLUMNS

    sets = figures["sets"]
    table = Table("metric", *sets, box=SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        column.overflow = "fold"  # nothing is cut off, however narrow the terminal
    for key, column_of in COLUMNS.items():
        metrics = [one["metrics"].get(key) for one in sets.values()]
        if key in figures["missing"]:
            table.add_row(column_of.arrow, *("not measured" for _ in sets))
        elif any(metrics):
            table.add_row(column_of.arrow, *(column_of.shown(one) for one in metrics))
    console = Console()
    if not console.is_terminal:
        console.width = 120
    console.print(table)
    for line in notes(figures):
        console.print(line, highlight=False, markup=False)


def notes(figures: Mapping[str, Any]) -> list[str]:
    """The lines below the table."""
    from mcld_anim.evaluate.columns import COLUMNS

    lines = [f"{COLUMNS[key].title}: {reason}" for key, reason in figures["missing"].items()]
    for name, one in figures["sets"].items():
        counts = [f"{one['pairs']} {figures.get('unit', 'pairs')}"]
        counts += [f"{number} {key.replace('_', ' ')}" for key, number in one["faces"].items() if number]
        if one.get("squashed"):
            counts.append(f"{one['squashed']} of another aspect ratio, squashed")
        if one.get("fid_reference"):
            counts.append(f"FID against {one['fid_reference_pictures']} pictures ({one['fid_reference']})")
        lines.append(f"{name}: {', '.join(counts)}")
    if figures["face_backend"]:
        lines.append(f"Faces by {figures['face_backend']}{EMBEDDED if figures['face_backend'] == 'tiny' else ''}")
    return [*lines, *figures["protocol"]]


def compare_command(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="JSON of eval pairs, deepfashion, video, reenact.")
    ],
    paper: Annotated[
        bool, typer.Option("--paper", help="Add the paper's numbers on DeepFashion, marked as such.")
    ] = False,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Also write the table to this file.")] = None,
    csv_path: Annotated[Path | None, typer.Option("--csv", help="Also write the figures to this CSV file.")] = None,
    json_path: JsonFile = None,
    svg: Annotated[Path | None, typer.Option("--svg", help="Also draw the figures with their intervals.")] = None,
) -> None:
    """Print one Markdown table of several measurements, and write it as CSV, JSON and a picture."""
    for path in (markdown, csv_path, json_path, svg):
        if path is not None:
            check_output(path, overwrite=True)
    from mcld_anim.evaluate.compare import as_csv, as_json, as_markdown, read_results
    from mcld_anim.evaluate.interval_plot import draw_intervals

    results = read_results(files, paper)
    typer.echo(as_markdown(results), nl=False)
    for path, text in ((markdown, as_markdown), (csv_path, as_csv), (svg, draw_intervals)):
        if path is not None:
            path.write_text(text(results), encoding="utf-8", errors=JSON_ERRORS)
    if json_path is not None:
        write_json(json_path, as_json(results))


def video_command(
    generated: Annotated[Path, typer.Option("--generated", help="Video made by any program.")],
    target: Annotated[Path, typer.Option("--target", help="Video that it should be like.")],
    source: Annotated[Path | None, typer.Option("--source", help="Photo of the person that it should show.")] = None,
    max_frames: flags.MaxFrames = None,
    densepose: flags.Estimator = None,
    face: flags.Face = None,
    device: flags.Device = None,
    offline: flags.Offline = None,
    seed: Seed = 0,
    json_path: JsonFile = None,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Compare a video with its target by SSIM, PSNR, LPIPS, face similarity, stability, warp error and FVD."""
    given = _asked(locals())
    from mcld_anim.evaluate.video import VideoOptions, evaluate_video

    options = VideoOptions(**given)
    with stage_display() as shown:
        figures = evaluate_video(options, shown.update, shown.show)
    finish(figures, json_path)


def deepfashion_command(
    root: Annotated[Path, typer.Option("--root", help="The data set's folder: test and train, or MEN and WOMEN.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for conditions and generated pictures.")],
    pairs: Annotated[
        Path | None, typer.Option("--pairs", help="List with the columns from,to; absent: the published one in --root.")
    ] = None,
    prepared: Annotated[
        Path | None, typer.Option("--prepared", help="Folder of `train prepare-pairs`; absent: one in --output.")
    ] = None,
    model: flags.Model = None,
    densepose: Annotated[
        str | None,
        typer.Option("--densepose", help="Estimator; auto: the data set's test_densepose if there is one."),
    ] = None,
    face: flags.Face = None,
    device: flags.Device = None,
    dtype: flags.Dtype = None,
    steps: flags.Steps = None,
    guidance: flags.Guidance = None,
    seed: flags.Seed = None,
    max_pairs: Annotated[int | None, typer.Option("--max-pairs", help="Only the first pairs of the list.")] = None,
    shard: Annotated[
        str | None,
        typer.Option("--shard", help="I/N: generate only every N-th pair from the I-th; measure by a call without."),
    ] = None,
    offline: flags.Offline = None,
    json_path: JsonFile = None,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Generate a data set's test pairs and measure them as the paper does; the same command resumes."""
    given = _asked(locals())
    from mcld_anim.evaluate.deepfashion import evaluate_deepfashion
    from mcld_anim.evaluate.generated_pairs import DeepFashionOptions

    options = DeepFashionOptions(**given)
    with stage_display() as shown:
        result = evaluate_deepfashion(options, shown.update, shown.show)
    outcome = f"{result.made} pairs generated now, {result.done} of {result.total} are"
    say(f"{outcome}, {len(result.refused)} refused", made=result.made, done=result.done, total=result.total)
    if result.figures is not None:
        finish(result.figures, json_path)
