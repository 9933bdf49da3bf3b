"""The trainings of the ablation: the same with fewer conditions, or with all of them concatenated.

Each variant is trained from scratch, once for each training seed, with the same budget and on the same people, and
measured on held-out people. A seed decides the initial weights, the order of the data and the noise; trainings of one
seed see the same batches, noise and timesteps. The detail decoder is left out, and so is the warped source on request:
both let the source's pixels bypass the conditions.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

from mcld_anim.core.checksums import file_sha256
from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import UsageError
from mcld_anim.core.names import write_json
from mcld_anim.core.plain_data import parse_json
from mcld_anim.core.tables import read_json
from mcld_anim.evaluate.held_out import EvaluationOptions
from mcld_anim.model.build import build_mcld
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.load import to_mapping
from mcld_anim.options.model import Aggregation, Condition, ModelOptions, load_model_options
from mcld_anim.pose.backends import load_pose_backend
from mcld_anim.source.face import load_face_backend
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED
from mcld_anim.train.ablation_figures import Figures, HeldOutPerson, draw_held_out, measure_training
from mcld_anim.train.diffusion import TRAINED_PARTS, DiffusionTask, DiffusionTrainingOptions, load_examples
from mcld_anim.train.from_config import BudgetOptions, load_training_options
from mcld_anim.train.loop import description, device_of, train
from mcld_anim.train.parts import load_into

VARIANTS: dict[str, tuple[tuple[Condition, ...], Aggregation]] = {
    "B1": (("image",), "mfca"),
    "B3": (("image", "texture", "face"), "concat"),
    "B5": (("image", "texture"), "mfca"),
    "full": (("image", "texture", "face"), "mfca"),
}
"""Conditions and their aggregation, by the variant's name in table 3 of the paper."""
FIGURES_NAME = "figures.json"
"""File of a finished training: what it was asked for, and its figures."""


@dataclass(frozen=True)
class AblationOptions:
    """What `train ablation` trains and measures."""

    data: Path  # shards of `synth data`
    prepared: Path  # people of `train prepare`
    vae: Path  # autoencoder weights the people were prepared with
    output: Path  # a folder VARIANT/seed_K per training
    config: str = "tiny_ablation"
    budget: BudgetOptions = field(default_factory=BudgetOptions)  # of each training
    variants: tuple[str, ...] = tuple(VARIANTS)
    seeds: tuple[int, ...] = (0,)  # a training of each variant for each
    warped_source: bool = True  # whether the Pose Guider gets it
    sampling_steps: int | None = None  # for the measurement; None: the model's
    people: int = 8  # held-out people
    poses: int = 8  # held-out poses of each
    first_seed: int = FIRST_EVALUATION_SEED  # of the held-out people

    def __post_init__(self) -> None:
        unknown = sorted(set(self.variants) - set(VARIANTS))
        if unknown:
            raise UsageError(f"unknown variant {unknown[0]!r}; there are {', '.join(VARIANTS)}")
        self.evaluation()

    def evaluation(self) -> EvaluationOptions:
        """Which held-out people and poses are measured."""
        return EvaluationOptions(self.people, self.poses, self.first_seed)


@dataclass(frozen=True)
class Trained:
    """A training of the ablation and its figures."""

    variant: str
    seed: int
    steps: int
    minutes: float  # wall-clock
    people: tuple[Figures, ...]  # of each held-out person, in order


def parse_seeds(text: str) -> tuple[int, ...]:
    """Training seeds of "N" (0 to N - 1) or "FIRST:END"; END is excluded."""
    first, _, end = text.rpartition(":")
    try:
        seeds = tuple(range(int(first or 0), int(end)))
    except ValueError:
        seeds = ()
    if not seeds or seeds[0] < 0:
        raise UsageError(f"--seeds {text!r}: expected a number of trainings per variant, or FIRST:END")
    return seeds


def variant_options(model: ModelOptions, name: str, warped_source: bool, steps: int | None = None) -> ModelOptions:
    """The model with a variant's conditions and no detail decoder; `steps` replaces its number of sampling steps."""
    conditions, aggregation = VARIANTS[name]
    pose_guider = model.pose_guider if warped_source else dataclasses.replace(model.pose_guider, warped_source="none")
    return dataclasses.replace(
        model,
        name=f"{model.name}_{name}",
        conditions=conditions,
        aggregation=aggregation,
        pose_guider=pose_guider,
        detail=None,
        sampling=model.sampling if steps is None else dataclasses.replace(model.sampling, steps=steps),
    )


def train_variants(options: AblationOptions, on_log: Callable[[str], None] = lambda line: None) -> list[Trained]:
    """Train and measure every variant with every seed; all variants of one seed come before the next seed.

    Finished trainings are read from their `FIGURES_NAME`, and one that is measured otherwise is only measured anew.
    Several processes can therefore share the trainings, and a final call makes the table. Raises UsageError if `output`
    holds trainings with other options. Sets the CPU threads of this process.
    """
    torch.set_num_threads(options.budget.threads)
    training = load_training_options(DiffusionTrainingOptions, options.config, options.budget)
    size = load_model_options(training.model).frame_size[0]
    held_out = functools.cache(lambda: draw_held_out(options.evaluation(), size))  # only if anything is measured
    wanted = [(variant, seed) for seed in options.seeds for variant in options.variants]
    trained = []
    for number, (variant, seed) in enumerate(wanted, 1):
        say = _labelled(f"[{number}/{len(wanted)}] {variant}, seed {seed}", on_log)
        trained.append(_trained(options, training, variant, seed, held_out, say))
    return trained


def _labelled(label: str, on_log: Callable[[str], None]) -> Callable[[str], None]:
    return lambda line: on_log(f"{label}: {line}")


def _trained(
    options: AblationOptions,
    training: DiffusionTrainingOptions,
    variant: str,
    seed: int,
    held_out: Callable[[], list[HeldOutPerson]],
    on_log: Callable[[str], None],
) -> Trained:
    """One training with its figures, as far as they are not there."""
    folder = options.output / variant / f"seed_{seed}"
    training = dataclasses.replace(training, loop=dataclasses.replace(training.loop, seed=seed))
    model = variant_options(load_model_options(training.model), variant, options.warped_source, options.sampling_steps)
    asked = _asked(options, training, model)
    known = _finished(folder / FIGURES_NAME, asked)
    if known is not None:
        on_log("finished before")
        return Trained(variant, seed, known["steps"], known["minutes"], tuple(known["people"]))
    _write_model(folder, model)
    built = dataclasses.replace(training, model=str(folder / "model.yaml"))
    people, autoencoder = load_examples(built, options.vae, options.data, options.prepared, None, None)
    task = DiffusionTask(built, people, autoencoder)
    described = description(training) | {"variant": variant, "warped_source": options.warped_source}
    result = train(task, training.loop, folder, resume=True, describe=described, on_log=on_log)
    on_log(f"trained, {result.steps} steps; measuring")
    figures = measure_training(held_out(), load_variant(model, options.vae, result.weights, device_of(task.network)))
    one = Trained(variant, seed, result.steps, round(result.seconds / 60, 2), tuple(figures))
    with durable_file(folder / FIGURES_NAME, overwrite=True) as path:
        write_json(path, {"asked": asked, "steps": one.steps, "minutes": one.minutes, "people": figures})
    return one


def _asked(options: AblationOptions, training: DiffusionTrainingOptions, model: ModelOptions) -> dict[str, Any]:
    """What the figures of a training depend on, as JSON holds it; people and output are known by their folders."""
    asked = {
        **description(training),
        "steps": training.loop.steps,
        "minutes": training.loop.minutes,
        "model": to_mapping(model),
        "vae": file_sha256(options.vae),
        "held_out": {"people": options.people, "poses": options.poses, "first_seed": options.first_seed},
    }
    return parse_json(json.dumps(asked))


def _finished(path: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """The content of a training's figures; None if there are none, or if something else was asked for."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("asked") == asked else None


def _write_model(folder: Path, model: ModelOptions) -> None:
    """Write a training's model.yaml; UsageError if another model was trained there. Sampling steps may differ."""
    path = folder / "model.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    if path.exists() and dataclasses.replace(load_model_options(path), sampling=model.sampling) != model:
        raise UsageError(
            f"{folder} was begun with another model or another --warped-source: use the same or another --output"
        )
    path.write_text(yaml.safe_dump(to_mapping(model)), encoding="utf-8")


def load_variant(model: ModelOptions, vae: Path, weights: Path, device: torch.device) -> LoadedModels:
    """A trained variant with the embedded estimators."""
    mcld = build_mcld(model)
    load_into(mcld.vae, vae)
    load_into(nn.ModuleDict({part: getattr(mcld, part) for part in TRAINED_PARTS}), weights)
    mcld.requires_grad_(False).eval().to(device)
    return LoadedModels.of(mcld, load_pose_backend("tiny", device), load_face_backend("tiny", device))
