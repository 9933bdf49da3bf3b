"""`mcld-anim train`: train one of the small networks on rendered people."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from mcld_anim.train.loop import LoopOptions, Task

app = typer.Typer(help="Train the tiny model's networks on rendered people.", no_args_is_help=True)

Config = Annotated[str, typer.Option(help="Bundled training configuration, or the path of a YAML file.")]
Data = Annotated[Path, typer.Option(help="Folder of shards written by `synth`.")]
Output = Annotated[Path, typer.Option(help="Folder for checkpoint, curve and weights.")]
Minutes = Annotated[float | None, typer.Option(help="Wall-clock minutes to train, instead of the configuration's.")]
Steps = Annotated[int | None, typer.Option(help="Steps to train, instead of the configuration's budget.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]
Workers = Annotated[
    int | None, typer.Option(min=0, help="Processes that make batches ahead, instead of the configuration's; for GPUs.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in the output folder.")]
Prepared = Annotated[Path, typer.Option(help="Folder written by `train prepare`.")]
FrozenVae = Annotated[Path, typer.Option(help="The autoencoder weights the people were prepared with.")]
StartFrom = Annotated[Path | None, typer.Option(help="Begin with these weights instead of fresh ones.")]

Training = TypeVar("Training")


@app.command()
def autoencoder(
    data: Data,
    output: Output,
    config: Config = "tiny_autoencoder",
    minutes: Minutes = None,
    steps: Steps = None,
    threads: Threads = 1,
    workers: Workers = None,
    resume: Resume = False,
) -> None:
    """Train the latent autoencoder."""
    from mcld_anim.train.autoencoder import AutoencoderTask, AutoencoderTraining

    options = _options(AutoencoderTraining, config, Budget(minutes, steps, threads, workers))
    _train(AutoencoderTask(options, data), options, options.loop, output, resume)


@app.command()
def densepose(
    data: Data,
    output: Output,
    config: Config = "tiny_densepose",
    minutes: Minutes = None,
    steps: Steps = None,
    threads: Threads = 1,
    workers: Workers = None,
    resume: Resume = False,
    start_from: StartFrom = None,
    backgrounds: Annotated[
        Path | None, typer.Option(help="Folder of pictures without people, to put behind; else all is procedural.")
    ] = None,
) -> None:
    """Train the DensePose network."""
    from mcld_anim.train.densepose import DensePoseTask, DensePoseTraining

    options = _options(DensePoseTraining, config, Budget(minutes, steps, threads, workers))
    _train(DensePoseTask(options, data, start_from, backgrounds), options, options.loop, output, resume)


@app.command()
def face(
    data: Data,
    output: Output,
    config: Config = "tiny_face",
    minutes: Minutes = None,
    steps: Steps = None,
    threads: Threads = 1,
    workers: Workers = None,
    resume: Resume = False,
) -> None:
    """Train the face embedder."""
    from mcld_anim.train.face import FaceTask, FaceTraining

    options = _options(FaceTraining, config, Budget(minutes, steps, threads, workers))
    _train(FaceTask(options, data), options, options.loop, output, resume)


@app.command()
def prepare(
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder for one file per person; existing ones are kept.")],
    vae: Annotated[Path, typer.Option(help="Autoencoder weights (safetensors) of `train autoencoder`.")],
    face: Annotated[Path, typer.Option(help="Face embedder weights (safetensors) of `train face`.")],
    model: Annotated[str, typer.Option(help="Model configuration, by name or path.")] = "tiny",
    people: Annotated[str, typer.Option(help="Which people: FIRST:END[:STEP], several by comma.")] = "0:100",
    sources: Annotated[int, typer.Option(min=1, help="The first so many views serve as source photos.")] = 2,
    device: Annotated[str, typer.Option(help="Where the networks compute: auto, cpu, cuda or mps.")] = "cpu",
    threads: Threads = 1,
) -> None:
    """Encode people once for `train diffusion`; run it in several processes on different people to be faster."""
    import torch

    from mcld_anim.core.device import choose_device
    from mcld_anim.train.pairs import prepare_folder

    torch.set_num_threads(threads)
    made = prepare_folder(
        data,
        output,
        vae,
        face,
        model,
        _people(people),
        sources,
        choose_device(device),
        on_person=lambda done, total: print(done, total, flush=True),
    )
    typer.echo(f"{made} people prepared in {output}")


@app.command("prepare-pairs")
def prepare_pairs_command(
    pairs: Annotated[Path, typer.Option(help="CSV with the columns source,target (or from,to).")],
    images: Annotated[Path, typer.Option(help="Folder that the list's paths are relative to.")],
    output: Annotated[Path, typer.Option(help="Folder for one file per picture; existing ones are kept.")],
    model: Annotated[str, typer.Option(help="Model configuration, by name or path.")] = "mcld_sd15",
    densepose: Annotated[
        str, typer.Option(help="Estimator, or a folder of IUV pictures named as the images are, with .png.")
    ] = "detectron2",
    face: Annotated[str, typer.Option(help="Face embedder: insightface, tiny or none.")] = "insightface",
    device: Annotated[str, typer.Option(help="Where the estimators compute: cpu or cuda.")] = "cpu",
    workers: Annotated[int, typer.Option(min=1, help="Processes; each loads the networks.")] = 1,
) -> None:
    """Compute IUV, texture and face of every picture in a list of pairs, as DeepFashion's; resumes by itself."""
    from rich.progress import Progress

    from mcld_anim.options.model import load_model_options
    from mcld_anim.train.pair_list import PairPreparation, prepare_pairs

    request = PairPreparation(pairs, images, output, load_model_options(model), densepose, face, device, workers)
    with Progress() as progress:
        task = progress.add_task("pictures", total=None)
        result = prepare_pairs(request, lambda done, total: progress.update(task, completed=done, total=total))
    for problem in result.refused:
        typer.echo(f"left out: {problem}", err=True)
    typer.echo(f"{result.pairs} pairs; {result.made} pictures prepared now, {result.without_person} show no person")


@app.command()
def diffusion(
    vae: FrozenVae,
    output: Output,
    data: Annotated[Path | None, typer.Option(help="Folder of shards written by `synth`.")] = None,
    prepared: Annotated[Path | None, typer.Option(help="Folder written by `train prepare` from it.")] = None,
    pairs: Annotated[Path | None, typer.Option(help="Instead: a folder written by `train prepare-pairs`.")] = None,
    images: Annotated[Path | None, typer.Option(help="The pairs' pictures.")] = None,
    config: Config = "tiny",
    minutes: Minutes = None,
    steps: Steps = None,
    threads: Threads = 1,
    workers: Workers = None,
    resume: Resume = False,
    start_from: StartFrom = None,
    controlnet: Annotated[
        Path | None, typer.Option(help="Begin the Pose Guider with this ControlNet's convolutions (safetensors).")
    ] = None,
    export: Annotated[Path | None, typer.Option(help="At the end, also write one file per network here.")] = None,
) -> None:
    """Train image encoder, ReferenceNet, denoiser, Pose Guider and face tokens on prepared people or pairs."""
    from mcld_anim.train.diffusion import DiffusionTask, DiffusionTraining, load_examples
    from mcld_anim.train.parts import export_parts

    options = _options(DiffusionTraining, config, Budget(minutes, steps, threads, workers))
    people, autoencoder = load_examples(options, vae, data, prepared, pairs, images)
    task = DiffusionTask(
        options, people, autoencoder, sheets=output / "sheets", start_from=start_from, controlnet=controlnet
    )
    _train(task, options, options.loop, output, resume)
    if export is not None:
        for path in export_parts(output / "weights.safetensors", export):
            typer.echo(str(path))


@app.command()
def detail(
    data: Data,
    prepared: Prepared,
    vae: FrozenVae,
    weights: Annotated[
        Path, typer.Option(help="weights.safetensors of the diffusion training whose frames it finishes.")
    ],
    output: Output,
    config: Config = "tiny_detail",
    minutes: Minutes = None,
    steps: Steps = None,
    threads: Threads = 1,
    workers: Workers = None,
    resume: Resume = False,
    start_from: StartFrom = None,
) -> None:
    """Train the detail decoder behind the autoencoder."""
    from mcld_anim.train.detail import DetailTask, DetailTraining

    options = _options(DetailTraining, config, Budget(minutes, steps, threads, workers))
    task = DetailTask(options, data, prepared, vae, weights, start_from)
    _train(task, options, options.loop, output, resume)


@app.command()
def ablation(
    data: Data,
    prepared: Prepared,
    vae: FrozenVae,
    output: Output,
    config: Config = "tiny_ablation",
    minutes: Minutes = None,
    steps: Steps = None,
    threads: Threads = 1,
    workers: Workers = None,
    variant: Annotated[
        list[str] | None, typer.Option(help="Only this variant: B1, B3, B5 or full; can be given several times.")
    ] = None,
    hint: Annotated[
        bool, typer.Option(help="Whether the Pose Guider sees the UV warp, as the embedded model's.")
    ] = True,
    sampling_steps: Annotated[
        int | None, typer.Option(min=1, help="Sampling steps to measure with, instead of the model's.")
    ] = None,
    people: Annotated[int, typer.Option(min=2, help="Held-out persons to measure on.")] = 8,
    poses: Annotated[int, typer.Option(min=1, help="Held-out poses of each.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of the first held-out person, 900000 or more.")] = 900_000,
) -> None:
    """Train the paper's variants (B1, B3, B5, full) for one budget each and print their figures as a table."""
    from mcld_anim.evaluate.held_out import EvaluationOptions
    from mcld_anim.train.ablation import as_table, run_ablation
    from mcld_anim.train.diffusion import DiffusionTraining

    options = _options(DiffusionTraining, config, Budget(minutes, steps, threads, workers))
    measured = EvaluationOptions(people, poses, seed, identities=2, clips=0)
    figures = run_ablation(
        options,
        data,
        prepared,
        vae,
        output,
        measured,
        hint,
        variant,
        sampling_steps,
        on_log=lambda line: print(line, flush=True),
    )
    typer.echo(as_table(figures))


@app.command("export")
def export_command(
    weights: Annotated[Path, typer.Option(help="weights.safetensors of a diffusion training.")],
    output: Annotated[Path, typer.Option(help="Folder for one file per network.")],
) -> None:
    """Split a diffusion training's weights into one file per network."""
    from mcld_anim.train.parts import export_parts

    for path in export_parts(weights, output):
        typer.echo(str(path))


def _people(text: str) -> list[int]:
    """Numbers of "FIRST:END[:STEP],..."; END is not included."""
    numbers: list[int] = []
    for span in text.split(","):
        try:
            bounds = [int(bound) for bound in span.split(":")]
            numbers += range(*bounds) if len(bounds) > 1 else bounds
        except (ValueError, TypeError) as error:
            raise typer.BadParameter(f"--people {span!r}: expected FIRST:END or FIRST:END:STEP") from error
    return numbers


@dataclasses.dataclass(frozen=True)
class Budget:
    """What the flags say about length and cores."""

    minutes: float | None
    steps: int | None
    threads: int
    workers: int | None


def _options(cls: type[Training], config: str, budget: Budget) -> Training:
    """The configuration with what the flags say; one budget replaces the other."""
    import torch

    from mcld_anim.options.load import load_yaml

    torch.set_num_threads(budget.threads)
    options = load_yaml(cls, config, folder="train")
    loop: LoopOptions = options.loop  # type: ignore[attr-defined]
    if budget.minutes is not None or budget.steps is not None:
        loop = dataclasses.replace(loop, minutes=budget.minutes, steps=budget.steps)
    if budget.workers is not None:
        loop = dataclasses.replace(loop, workers=budget.workers)
    return dataclasses.replace(options, loop=loop)  # type: ignore[type-var]


def _train(task: Task, options: object, loop: LoopOptions, output: Path, resume: bool) -> None:
    """Run the loop, printing its lines; a resumed run may be given a longer budget, or more processes."""
    from mcld_anim.train.loop import description, train

    result = train(
        task,
        loop,
        output,
        resume=resume,
        describe=description(options),
        on_log=lambda line: print(line, flush=True),
    )
    typer.echo(f"{result.steps} steps in {result.seconds / 60:.1f} minutes; weights in {result.weights}")
