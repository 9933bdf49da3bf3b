"""`mcld-anim synth`: people rendered with exact IUV, as training data, samples and previews."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from mcld_anim.core.names import write_json

app = typer.Typer(help="Synthetic people with exact DensePose IUV.", no_args_is_help=True)

OutputFolder = Annotated[
    Path, typer.Option("--output", help="Folder to write into; an unfinished data set is resumed.")
]
People = Annotated[int, typer.Option("--people", min=1, help="Number of people.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the first person.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Number of rendering processes.")]
HeldOutSeed = Annotated[int, typer.Option("--seed", help="Seed of the first person, 900000 or more.")]
Json = Annotated[Path | None, typer.Option("--json", help="Also write the metrics to this JSON file.")]


@app.command()
def data(
    output: OutputFolder,
    people: People,
    views: Annotated[int, typer.Option("--views", min=1, help="Pictures per person.")] = 10,
    seed: Seed = 0,
    size: Annotated[int, typer.Option("--size", min=16, help="Width and height in pixels.")] = 256,
    workers: Workers = 1,
) -> None:
    """Render whole bodies into shards."""
    from mcld_anim.synthetic.dataset import write_shards

    with _bar("people", people) as on_person:
        write_shards(output, seed, people, views, size, workers, on_person)


@app.command()
def faces(
    output: OutputFolder,
    people: People,
    views: Annotated[int, typer.Option("--views", min=1, help="Pictures per person.")] = 8,
    seed: Seed = 0,
    size: Annotated[int, typer.Option("--size", min=16, help="Width and height in pixels.")] = 96,
    workers: Workers = 1,
) -> None:
    """Render close-ups of heads into shards, for the face embedder."""
    from mcld_anim.synthetic.dataset import write_face_shards

    with _bar("people", people) as on_person:
        write_face_shards(output, seed, people, views, size, workers, on_person)


@app.command()
def samples(output: OutputFolder) -> None:
    """Make the sample photo and the sample dance."""
    from mcld_anim.synthetic.samples import write_samples

    for path in write_samples(output):
        typer.echo(path)


@app.command()
def preview(
    seed: Seed,
    output: Annotated[Path, typer.Option("--output", help="PNG to write.")],
    size: Annotated[int, typer.Option("--size", min=16, help="Width and height of each picture.")] = 256,
) -> None:
    """Draw a contact sheet of one person: photo, IUV, face and other poses."""
    from mcld_anim.synthetic.preview import write_preview

    typer.echo(write_preview(output, seed, size))


@app.command("eval")
def evaluate_command(
    people: Annotated[int, typer.Option("--people", min=2, help="Number of held-out people.")] = 8,
    poses: Annotated[int, typer.Option("--poses", min=1, help="Held-out poses per person.")] = 16,
    seed: HeldOutSeed = 900_000,
    json_path: Json = None,
) -> None:
    """Measure the embedded model against rendered truth, next to naive predictors and the raw UV copy."""
    from mcld_anim.evaluate.held_out import EvaluationOptions, evaluate

    options = EvaluationOptions(people, poses, seed)
    with _bar("frames", people * poses) as on_frame:
        metrics = evaluate(options, on_frame=on_frame)
    _print_metrics(metrics, json_path)


@app.command("stability")
def stability_command(
    people: Annotated[int, typer.Option("--people", min=1, help="Number of held-out people who dance.")] = 8,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Frames per dance.")] = 48,
    seed: HeldOutSeed = 900_000,
    json_path: Json = None,
) -> None:
    """Measure the temporal stability of the embedded model's dances, with and without blending, and of the truth."""
    from mcld_anim.evaluate.stability import StabilityEvaluationOptions, stability_metrics

    options = StabilityEvaluationOptions(people, frames, seed)
    with _bar("people", people) as on_person:
        metrics = stability_metrics(options, on_person=on_person)
    _print_metrics(metrics, json_path)


@app.command("presets")
def presets_command(
    people: Annotated[int, typer.Option("--people", min=1, help="Number of held-out people who dance.")] = 4,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Frames per dance.")] = 16,
    seed: HeldOutSeed = 900_000,
    json_path: Json = None,
) -> None:
    """Measure cost and quality of each --preset on the embedded model's dances, and its cost at the published size."""
    from mcld_anim.evaluate.presets import PresetEvaluationOptions, preset_metrics
    from mcld_anim.options.preset import PRESETS

    options = PresetEvaluationOptions(people, frames, seed)
    with _bar("clips", people * len(PRESETS)) as on_clip:
        found = preset_metrics(options, on_clip=on_clip)
    names = list(next(iter(found.values())))
    typer.echo(" ".join([f"{'':10s}", *(f"{name:>17s}" for name in names)]))
    for preset, metrics in found.items():
        typer.echo(" ".join([f"{preset:10s}", *(f"{metrics[name]:17.4g}" for name in names)]))
    if json_path is not None:
        write_json(json_path, found)


@app.command("densepose")
def densepose_command(
    people: Annotated[int, typer.Option("--people", min=1, help="Number of held-out people.")] = 16,
    views: Annotated[int, typer.Option("--views", min=1, help="Pictures per person.")] = 24,
    scenes: Annotated[int, typer.Option("--scenes", min=0, help="Empty scenes of each kind.")] = 60,
    backgrounds: Annotated[
        Path | None,
        typer.Option("--backgrounds", help="Folder of photographs without people; crops of them are empty scenes too."),
    ] = None,
    seed: HeldOutSeed = 900_000,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Weights of `train densepose`, instead of the embedded ones.")
    ] = None,
    densepose: Annotated[
        str, typer.Option("--densepose", help="The estimator: tiny, the embedded one, or body.")
    ] = "tiny",
    json_path: Json = None,
) -> None:
    """Measure a DensePose estimator on held-out people and on empty scenes."""
    from mcld_anim.evaluate.densepose import EstimatorEvaluationOptions, estimator_metrics

    options = EstimatorEvaluationOptions(people, views, scenes, backgrounds, seed, weights, densepose)
    with _bar("people", people) as on_person:
        metrics = estimator_metrics(options, on_person=on_person)
    _print_metrics(metrics, json_path)


@app.command("retarget")
def retarget_command(
    people: Annotated[
        int, typer.Option("--people", min=2, help="Number of held-out people, each driven by the next.")
    ] = 8,
    frames: Annotated[int, typer.Option("--frames", min=1, help="Frames per dance.")] = 12,
    seed: HeldOutSeed = 900_000,
    json_path: Json = None,
) -> None:
    """Measure --retarget off, scale and limbs between people of different builds, against rendered truth."""
    from mcld_anim.evaluate.retarget import RetargetEvaluationOptions, retarget_metrics

    options = RetargetEvaluationOptions(people, frames, seed)
    with _bar("people", people) as on_person:
        metrics = retarget_metrics(options, on_person=on_person)
    _print_metrics(metrics, json_path)


@app.command("photos")
def photos_command(
    people: Annotated[
        int, typer.Option("--people", min=2, help="Number of held-out people, each compared with the next.")
    ] = 8,
    poses: Annotated[int, typer.Option("--poses", min=1, help="Poses per person, seen from behind.")] = 4,
    seed: HeldOutSeed = 900_000,
    json_path: Json = None,
) -> None:
    """Measure what a second photo, of the back, adds to one of the front, against rendered truth."""
    from mcld_anim.evaluate.photos import PhotosEvaluationOptions, photos_metrics
    from mcld_anim.pose.body_backend import load_body_backend

    options = PhotosEvaluationOptions(people, poses, seed)
    with _bar("people", people) as on_person:
        metrics = photos_metrics(options, load_body_backend(), on_person=on_person)
    _print_metrics(metrics, json_path)


@app.command("edit-figures")
def edit_figures_command(
    samples: Annotated[Path, typer.Option("--samples", help="Folder with person.png, astronaut.jpg and dance.mp4.")],
    output: Annotated[Path, typer.Option("--output", help="Folder to write into.")],
) -> None:
    """Make the README's pictures of edits, edit.jpg of rendered people and edit-photo.jpg of a photograph."""
    from mcld_anim.evaluate.edit_figures import write_edit_figures

    for path in write_edit_figures(samples, output):
        typer.echo(path)


@app.command("edit")
def edit_command(
    people: Annotated[
        int, typer.Option("--people", min=2, help="Number of held-out people, each edited with the next.")
    ] = 8,
    poses: Annotated[int, typer.Option("--poses", min=1, help="Held-out poses per person, for the networks.")] = 4,
    seed: HeldOutSeed = 900_000,
    photo: Annotated[
        bool, typer.Option("--photo/--no-photo", help="Also measure frames of the photo's own pixels, by BlazePose.")
    ] = True,
    json_path: Json = None,
) -> None:
    """Measure --garment-from and --face-from against rendered truth: PSNR of clothes and face, edited and unedited."""
    from mcld_anim.evaluate.edits import EditEvaluationOptions, edit_metrics
    from mcld_anim.pose.body_backend import load_body_backend

    options = EditEvaluationOptions(people, poses, seed)
    backend = load_body_backend() if photo else None
    with _bar("people", people) as on_person:
        metrics = edit_metrics(options, backend=backend, on_person=on_person)
    _print_metrics(metrics, json_path)


@contextmanager
def _bar(name: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; the callback yielded moves it."""
    with Progress() as progress:
        task = progress.add_task(name, total=total)
        yield lambda done, _total: progress.update(task, completed=done)


def _print_metrics(metrics: Mapping[str, float], json_path: Path | None) -> None:
    """Print the metrics, and write them to a file if given."""
    for name, value in metrics.items():
        typer.echo(f"{name:28s} {value:.4f}")
    if json_path is not None:
        write_json(json_path, metrics)
