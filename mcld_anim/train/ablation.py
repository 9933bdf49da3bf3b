"""The paper's ablation at small scale: the same training with fewer conditions, or with all of them concatenated.

Each variant is trained from scratch, with the same budget and on the same people, and measured on held-out people. The
detail decoder is left out, and so is the warped source on request: both let the source's pixels bypass the conditions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
import yaml
from torch import nn

from mcld_anim.core.errors import UsageError
from mcld_anim.evaluate.held_out import EvaluationOptions, evaluate
from mcld_anim.model.build import build_mcld
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.load import to_mapping
from mcld_anim.options.model import Aggregation, Condition, ModelOptions, load_model_options
from mcld_anim.pose.backends import load_pose_backend
from mcld_anim.source.face import load_face_backend
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED
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
COLUMNS = ("psnr", "ssim", "person_psnr", "person_ssim", "face_similarity", "right_person_rate")
"""Metrics of `synth eval` that the table shows."""


@dataclass(frozen=True)
class AblationOptions:
    """What `train ablation` trains and measures."""

    data: Path  # shards of `synth data`
    prepared: Path  # people of `train prepare`
    vae: Path  # autoencoder weights the people were prepared with
    output: Path  # one folder per variant
    config: str = "tiny_ablation"
    budget: BudgetOptions = field(default_factory=BudgetOptions)  # of each variant
    variants: tuple[str, ...] = tuple(VARIANTS)
    warped_source: bool = True  # whether the Pose Guider gets it
    sampling_steps: int | None = None  # for the measurement; None: the model's
    people: int = 8  # held-out people
    poses: int = 8  # held-out poses of each
    first_seed: int = FIRST_EVALUATION_SEED

    def __post_init__(self) -> None:
        unknown = sorted(set(self.variants) - set(VARIANTS))
        if unknown:
            raise UsageError(f"unknown variant {unknown[0]!r}; there are {', '.join(VARIANTS)}")
        self.evaluation()

    def evaluation(self) -> EvaluationOptions:
        """The held-out measurement, without the clips and with the fewest close-ups: the table shows neither."""
        return EvaluationOptions(self.people, self.poses, self.first_seed, identities=2, clips=0)


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


def run_ablation(
    options: AblationOptions, on_log: Callable[[str], None] = lambda line: None
) -> dict[str, dict[str, float]]:
    """Train and measure the variants; returns metrics by variant.

    A variant whose training is complete is only measured. Several processes can therefore train one variant each, and
    a final call makes the table. Raises UsageError if `output` holds trainings with other options. Sets the CPU threads
    of this process.
    """
    torch.set_num_threads(options.budget.threads)
    training = load_training_options(DiffusionTrainingOptions, options.config, options.budget)
    evaluation = options.evaluation()
    metrics = {}
    for name in options.variants:
        folder = options.output / name
        folder.mkdir(parents=True, exist_ok=True)
        model = variant_options(load_model_options(training.model), name, options.warped_source, options.sampling_steps)
        path = folder / "model.yaml"
        if path.exists() and dataclasses.replace(load_model_options(path), sampling=model.sampling) != model:
            raise UsageError(
                f"{folder} was begun with another model or another --warped-source: use the same or another --output"
            )
        path.write_text(yaml.safe_dump(to_mapping(model)), encoding="utf-8")
        variant = dataclasses.replace(training, model=str(path))
        people, autoencoder = load_examples(variant, options.vae, options.data, options.prepared, None, None)
        task = DiffusionTask(variant, people, autoencoder)
        result = train(
            task,
            variant.loop,
            folder,
            resume=True,
            describe=description(variant),
            on_log=lambda line, name=name: on_log(f"{name} {line}"),  # type: ignore[misc]
        )
        measured = evaluate(evaluation, load_variant(model, options.vae, result.weights, device_of(task.network)))
        metrics[name] = {column: measured[column] for column in COLUMNS if column in measured}
    return metrics


def load_variant(model: ModelOptions, vae: Path, weights: Path, device: torch.device) -> LoadedModels:
    """A trained variant with the embedded estimators."""
    mcld = build_mcld(model)
    load_into(mcld.vae, vae)
    load_into(nn.ModuleDict({part: getattr(mcld, part) for part in TRAINED_PARTS}), weights)
    mcld.requires_grad_(False).eval().to(device)
    return LoadedModels.of(mcld, load_pose_backend("tiny", device), load_face_backend("tiny", device))


def as_table(metrics: dict[str, dict[str, float]]) -> str:
    """The metrics as a Markdown table, one row per variant."""
    names = [name for name in COLUMNS if any(name in row for row in metrics.values())]
    lines = ["| variant | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for variant, row in metrics.items():
        values = [f"{row[name]:.3f}" if name in row else "" for name in names]
        lines.append(f"| {variant} | " + " | ".join(values) + " |")
    return "\n".join(lines)
