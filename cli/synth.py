"""`mcld-anim synth`: people rendered with exact IUV, as training data, samples and previews."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

app = typer.Typer(help="Synthetic people with exact DensePose IUV.", no_args_is_help=True)

OutputFolder = Annotated[
    Path, typer.Option("--output", help="Folder to write into; an unfinished data set is resumed.")
]
People = Annotated[int, typer.Option("--people", min=1, help="How many persons.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the first person.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes that render.")]


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

    with Progress() as progress:
        task = progress.add_task("people", total=people)
        write_shards(output, seed, people, views, size, workers, lambda done, _: progress.update(task, completed=done))


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

    with Progress() as progress:
        task = progress.add_task("people", total=people)
        write_face_shards(
            output, seed, people, views, size, workers, lambda done, _: progress.update(task, completed=done)
        )


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
    people: Annotated[int, typer.Option("--people", min=2, help="Held-out persons.")] = 8,
    poses: Annotated[int, typer.Option("--poses", min=1, help="Held-out poses of each.")] = 16,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the first person, 900000 or more.")] = 900_000,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures here as well.")] = None,
) -> None:
    """Measure the embedded model against rendered truth, beside naive predictors and the raw UV copy."""
    import torch

    from mcld_anim.evaluate.held_out import EvaluationOptions, evaluate
    from mcld_anim.model.load import load_models

    options = EvaluationOptions(people, poses, seed)
    models = load_models("tiny", torch.device("cpu"), torch.float32, "tiny", "tiny")
    with Progress() as progress:
        task = progress.add_task("frames", total=people * poses)
        figures = evaluate(models, options, lambda done, _: progress.update(task, completed=done))
    _tell(figures, json_path)


@app.command("stability")
def stability_command(
    people: Annotated[int, typer.Option("--people", min=1, help="Held-out persons who dance.")] = 8,
    frames: Annotated[int, typer.Option("--frames", min=2, help="Frames of each dance.")] = 48,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the first person, 900000 or more.")] = 900_000,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures here as well.")] = None,
) -> None:
    """Measure how steady the embedded model's dances are, with and without blending, beside rendered truth."""
    import torch

    from mcld_anim.evaluate.stability import clip_figures
    from mcld_anim.model.load import load_models
    from mcld_anim.synthetic.identity import check_held_out

    check_held_out(seed)
    models = load_models("tiny", torch.device("cpu"), torch.float32, "tiny", "tiny")
    with Progress() as progress:
        task = progress.add_task("people", total=people)
        figures = clip_figures(
            models.mcld,
            models.face_backend,
            seed,
            people,
            frames,
            lambda done, _: progress.update(task, completed=done),
        )
    _tell(figures, json_path)


@app.command("densepose")
def densepose_command(
    people: Annotated[int, typer.Option("--people", min=1, help="Held-out persons.")] = 16,
    views: Annotated[int, typer.Option("--views", min=1, help="Pictures of each.")] = 24,
    scenes: Annotated[int, typer.Option("--scenes", min=0, help="Scenes without anybody, of each kind.")] = 60,
    backgrounds: Annotated[
        Path | None, typer.Option("--backgrounds", help="Folder of pictures without people: cuts of them are scenes.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the first person, 900000 or more.")] = 900_000,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Of a training (train densepose), instead of the embedded ones.")
    ] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures here as well.")] = None,
) -> None:
    """Measure the embedded DensePose estimator on held-out people and on scenes without anybody."""
    from mcld_anim.evaluate.densepose import empty_scenes, estimator_figures
    from mcld_anim.pose.tiny import load_tiny_pose_backend
    from mcld_anim.synthetic.identity import check_held_out

    check_held_out(seed)
    backend, empty = load_tiny_pose_backend(weights=weights), empty_scenes(scenes, seed, backgrounds)
    with Progress() as progress:
        task = progress.add_task("people", total=people)
        figures = estimator_figures(
            backend, seed, people, views, empty, on_person=lambda done, _: progress.update(task, completed=done)
        )
    _tell(figures, json_path)


@app.command("retarget")
def retarget_command(
    people: Annotated[int, typer.Option("--people", min=2, help="Held-out persons, each driven by the next.")] = 8,
    frames: Annotated[int, typer.Option("--frames", min=1, help="Frames of each dance.")] = 12,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the first person, 900000 or more.")] = 900_000,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures here as well.")] = None,
) -> None:
    """Measure --retarget off, scale and limbs between people of different builds, against rendered truth."""
    import torch

    from mcld_anim.evaluate.retarget import retarget_figures
    from mcld_anim.model.load import load_models

    models = load_models("tiny", torch.device("cpu"), torch.float32, "tiny", "tiny")
    with Progress() as progress:
        task = progress.add_task("people", total=people)
        figures = retarget_figures(models, seed, people, frames, lambda done, _: progress.update(task, completed=done))
    _tell(figures, json_path)


def _tell(figures: dict[str, float], json_path: Path | None) -> None:
    """Print the figures, and write them where asked to."""
    import json

    for name, value in figures.items():
        typer.echo(f"{name:28s} {value:.4f}")
    if json_path is not None:
        json_path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
