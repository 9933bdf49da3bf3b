"""`mcld-anim train`: train one of the small networks on rendered people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mcld_anim.train.loop import TrainingResult

app = typer.Typer(help="Train the tiny model's networks on rendered people.", no_args_is_help=True)

Config = Annotated[str, typer.Option(help="Bundled training configuration, or the path of a YAML file.")]
Data = Annotated[Path, typer.Option(help="Folder of shards written by `synth`.")]
Output = Annotated[Path, typer.Option(help="Folder for checkpoint, curve and weights.")]
Minutes = Annotated[float | None, typer.Option(help="Wall-clock minutes to train, instead of the configuration's.")]
Steps = Annotated[int | None, typer.Option(help="Steps to train, instead of the configuration's budget.")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads.")]
Workers = Annotated[
    int | None, typer.Option(min=0, help="Processes that make batches ahead, for GPUs; instead of the configuration's.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue the run in the output folder.")]
Prepared = Annotated[Path, typer.Option(help="Folder written by `train prepare`.")]
FrozenVae = Annotated[Path, typer.Option(help="The autoencoder weights the people were prepared with.")]
StartFrom = Annotated[Path | None, typer.Option(help="Start from these weights instead of fresh ones.")]


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
    from mcld_anim.train.autoencoder import AutoencoderTask, AutoencoderTrainingOptions
    from mcld_anim.train.from_config import BudgetOptions, train_from_config

    def make_task(options: AutoencoderTrainingOptions) -> AutoencoderTask:
        return AutoencoderTask(options, data)

    budget = BudgetOptions(minutes, steps, threads, workers)
    _print_result(train_from_config(AutoencoderTrainingOptions, make_task, config, budget, output, resume, _log))


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
        Path | None, typer.Option(help="Folder of photographs without people as backgrounds, besides procedural ones.")
    ] = None,
) -> None:
    """Train the DensePose network."""
    from mcld_anim.train.densepose import DensePoseTask, DensePoseTrainingOptions
    from mcld_anim.train.from_config import BudgetOptions, train_from_config

    def make_task(options: DensePoseTrainingOptions) -> DensePoseTask:
        return DensePoseTask(options, data, start_from, backgrounds)

    budget = BudgetOptions(minutes, steps, threads, workers)
    _print_result(train_from_config(DensePoseTrainingOptions, make_task, config, budget, output, resume, _log))


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
    from mcld_anim.train.face import FaceTask, FaceTrainingOptions
    from mcld_anim.train.from_config import BudgetOptions, train_from_config

    def make_task(options: FaceTrainingOptions) -> FaceTask:
        return FaceTask(options, data)

    budget = BudgetOptions(minutes, steps, threads, workers)
    _print_result(train_from_config(FaceTrainingOptions, make_task, config, budget, output, resume, _log))


@app.command()
def prepare(
    data: Data,
    output: Annotated[Path, typer.Option(help="Folder for one file per person; existing ones are kept.")],
    vae: Annotated[Path, typer.Option(help="Autoencoder weights (safetensors) of `train autoencoder`.")],
    face: Annotated[Path, typer.Option(help="Face embedder weights (safetensors) of `train face`.")],
    model: Annotated[str, typer.Option(help="Model configuration, by name or path.")] = "tiny",
    people: Annotated[str, typer.Option(help="Numbers of the people: FIRST:END[:STEP], several by comma.")] = "0:100",
    sources: Annotated[int, typer.Option(min=1, help="Number of leading views that serve as source photos.")] = 2,
    device: Annotated[str, typer.Option(help="Device of the networks: auto, cpu, cuda or mps.")] = "cpu",
    threads: Threads = 1,
) -> None:
    """Encode people once for `train diffusion`; several processes can encode different people side by side."""
    from mcld_anim.train.prepared_people import PeoplePreparationOptions, prepare_people

    options = PeoplePreparationOptions(data, output, vae, face, model, people, sources, device, threads)
    made = prepare_people(options, on_person=lambda done, total: print(done, total, flush=True))
    typer.echo(f"{made} people prepared in {output}")


@app.command("prepare-pairs")
def prepare_pairs_command(
    pairs: Annotated[Path, typer.Option(help="CSV with the columns source,target (or from,to).")],
    images: Annotated[Path, typer.Option(help="Folder that the list's paths are relative to.")],
    output: Annotated[Path, typer.Option(help="Folder for one file per picture; existing ones are kept.")],
    model: Annotated[str, typer.Option(help="Model configuration, by name or path.")] = "mcld_sd15",
    densepose: Annotated[
        str, typer.Option(help="Estimator, or a folder of IUV pictures with the images' names, as .png.")
    ] = "detectron2",
    face: Annotated[str, typer.Option(help="Face embedder: insightface, tiny or none.")] = "insightface",
    device: Annotated[str, typer.Option(help="Device of the estimators: cpu or cuda.")] = "cpu",
    workers: Annotated[int, typer.Option(min=1, help="Number of processes; each loads the networks.")] = 1,
) -> None:
    """Compute IUV, texture and face of every picture in a list of pairs, as in DeepFashion; a second call resumes."""
    from rich.progress import Progress

    from mcld_anim.options.model import load_model_options
    from mcld_anim.run.prepared_pictures import PairPreparationOptions, prepare_pairs

    options = PairPreparationOptions(pairs, images, output, load_model_options(model), densepose, face, device, workers)
    with Progress() as progress:
        task = progress.add_task("pictures", total=None)
        result = prepare_pairs(options, lambda done, total: progress.update(task, completed=done, total=total))
    for problem in result.refused:
        typer.echo(f"left out: {problem}", err=True)
    typer.echo(f"{result.pairs} pairs; {result.made} pictures prepared now, {result.without_person} show no person")


@app.command()
def diffusion(
    vae: FrozenVae,
    output: Output,
    data: Annotated[Path | None, typer.Option(help="Folder of shards written by `synth`.")] = None,
    prepared: Annotated[Path | None, typer.Option(help="Folder written by `train prepare` from it.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Folder written by `train prepare-pairs`, instead of --data and --prepared.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the pairs' pictures.")] = None,
    config: Config = "tiny",
    minutes: Minutes = None,
    steps: Steps = None,
    threads: Threads = 1,
    workers: Workers = None,
    resume: Resume = False,
    start_from: StartFrom = None,
    controlnet: Annotated[
        Path | None, typer.Option(help="Start the Pose Guider from this ControlNet's convolutions (safetensors).")
    ] = None,
    export: Annotated[Path | None, typer.Option(help="Folder for one file per network, written at the end.")] = None,
) -> None:
    """Train image encoder, ReferenceNet, denoiser, Pose Guider and face tokens on prepared people or pairs."""
    from mcld_anim.train.diffusion import DiffusionTask, DiffusionTrainingOptions, load_examples
    from mcld_anim.train.from_config import BudgetOptions, train_from_config
    from mcld_anim.train.parts import export_parts

    def make_task(options: DiffusionTrainingOptions) -> DiffusionTask:
        examples, autoencoder = load_examples(options, vae, data, prepared, pairs, images)
        return DiffusionTask(options, examples, autoencoder, output / "sheets", start_from, controlnet)

    budget = BudgetOptions(minutes, steps, threads, workers)
    _print_result(train_from_config(DiffusionTrainingOptions, make_task, config, budget, output, resume, _log))
    if export is not None:
        for path in export_parts(output / "weights.safetensors", export):
            typer.echo(str(path))


@app.command()
def detail(
    data: Data,
    prepared: Prepared,
    vae: FrozenVae,
    weights: Annotated[
        Path, typer.Option(help="weights.safetensors of the diffusion training whose frames it refines.")
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
    from mcld_anim.train.detail import DetailTask, DetailTrainingOptions
    from mcld_anim.train.from_config import BudgetOptions, train_from_config

    def make_task(options: DetailTrainingOptions) -> DetailTask:
        return DetailTask(options, data, prepared, vae, weights, start_from)

    budget = BudgetOptions(minutes, steps, threads, workers)
    _print_result(train_from_config(DetailTrainingOptions, make_task, config, budget, output, resume, _log))


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
        list[str] | None, typer.Option(help="Only this variant: B1, B3, B5 or full; may be repeated.")
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="Trainings of each variant: their number, with seeds from 0 on, or seeds FIRST:END.")
    ] = "1",
    warped_source: Annotated[
        bool, typer.Option(help="Whether the Pose Guider gets the warped source, where the model has one.")
    ] = True,
    sampling_steps: Annotated[
        int | None, typer.Option(min=1, help="Sampling steps of the measurement, instead of the model's.")
    ] = None,
    people: Annotated[int, typer.Option(min=2, help="Number of held-out people to measure on.")] = 8,
    poses: Annotated[int, typer.Option(min=1, help="Held-out poses per person.")] = 8,
    seed: Annotated[int, typer.Option(help="Seed of the first held-out person, 900000 or more.")] = 900_000,
) -> None:
    """Train the paper's variants (B1, B3, B5, full) with the same budget each, and print their metrics as a table.

    The table has 95 % intervals and the paper's figures. It is also written to OUTPUT/ablation.md and .json. The same
    command again trains and measures what is not finished.
    """
    from mcld_anim.train.ablation import run_ablation
    from mcld_anim.train.ablation_training import VARIANTS, AblationOptions, parse_seeds
    from mcld_anim.train.from_config import BudgetOptions

    options = AblationOptions(
        data,
        prepared,
        vae,
        output,
        config,
        BudgetOptions(minutes, steps, threads, workers),
        tuple(variant or VARIANTS),
        parse_seeds(seeds),
        warped_source,
        sampling_steps,
        people,
        poses,
        seed,
    )
    typer.echo(run_ablation(options, _log))


@app.command("export")
def export_command(
    weights: Annotated[Path, typer.Option(help="weights.safetensors of a diffusion training.")],
    output: Annotated[Path, typer.Option(help="Folder for one file per network.")],
) -> None:
    """Split a diffusion training's weights into one file per network."""
    from mcld_anim.train.parts import export_parts

    for path in export_parts(weights, output):
        typer.echo(str(path))


def _log(line: str) -> None:
    print(line, flush=True)


def _print_result(result: TrainingResult) -> None:
    typer.echo(f"{result.steps} steps in {result.seconds / 60:.1f} minutes; weights in {result.weights}")
