"""The paper's ablation at small scale: the same training with fewer conditions, or all of them concatenated.

Each variant is trained from nothing for the same budget on the same people, then measured on held-out ones. The
detail decoder is left out, and so is the hint if asked for: both hand the source's pixels on past the conditions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
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
from mcld_anim.train.diffusion import TRAINED_PARTS, DiffusionTask, DiffusionTraining, load_examples
from mcld_anim.train.loop import description, device_of, train
from mcld_anim.train.parts import load_into

VARIANTS: dict[str, tuple[tuple[Condition, ...], Aggregation]] = {
    "B1": (("image",), "mfca"),
    "B3": (("image", "texture", "face"), "concat"),
    "B5": (("image", "texture"), "mfca"),
    "full": (("image", "texture", "face"), "mfca"),
}
"""Named as in the paper's table 3: conditions, and how they are aggregated."""
FIGURES = ("psnr", "ssim", "person_psnr", "person_ssim", "face_similarity", "right_person_rate")


def variant_options(model: ModelOptions, name: str, hint: bool, steps: int | None = None) -> ModelOptions:
    """The model with a variant's conditions and without detail decoder, sampled in `steps` steps if given."""
    conditions, aggregation = VARIANTS[name]
    pose_guider = model.pose_guider if hint else dataclasses.replace(model.pose_guider, hint="none")
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
    options: DiffusionTraining,
    data: Path,
    prepared: Path,
    vae: Path,
    output: Path,
    measured: EvaluationOptions,
    hint: bool = True,
    variants: Sequence[str] | None = None,
    steps: int | None = None,
    on_log: Callable[[str], None] = lambda line: None,
) -> dict[str, dict[str, float]]:
    """Train and measure every variant, or those named; figures by variant.

    A variant whose training ended is only measured: variants that several processes trained side by side make one
    table in a last call. Raises UsageError for an unknown variant, and where `output` holds other options' trainings.
    """
    unknown = sorted(set(variants or ()) - set(VARIANTS))
    if unknown:
        raise UsageError(f"unknown variant {unknown[0]!r}; there are {', '.join(VARIANTS)}")
    figures = {}
    for name in variants or VARIANTS:
        folder = output / name
        folder.mkdir(parents=True, exist_ok=True)
        model = variant_options(load_model_options(options.model), name, hint, steps)
        path = folder / "model.yaml"
        if path.exists() and dataclasses.replace(load_model_options(path), sampling=model.sampling) != model:
            raise UsageError(f"{folder} was begun with another model or hint: use the same ones or another --output")
        path.write_text(yaml.safe_dump(to_mapping(model)), encoding="utf-8")
        variant = dataclasses.replace(options, model=str(path))
        people, autoencoder = load_examples(variant, vae, data, prepared, None, None)
        task = DiffusionTask(variant, people, autoencoder)
        result = train(
            task,
            variant.loop,
            folder,
            resume=True,
            describe=description(variant),
            on_log=lambda line, name=name: on_log(f"{name} {line}"),  # type: ignore[misc]
        )
        found = evaluate(measured, load_variant(model, vae, result.weights, device_of(task.network)))
        figures[name] = {figure: found[figure] for figure in FIGURES if figure in found}
    return figures


def load_variant(model: ModelOptions, vae: Path, weights: Path, device: torch.device) -> LoadedModels:
    """A trained variant with the embedded estimators."""
    mcld = build_mcld(model)
    load_into(mcld.vae, vae)
    load_into(nn.ModuleDict({part: getattr(mcld, part) for part in TRAINED_PARTS}), weights)
    mcld.requires_grad_(False).eval().to(device)
    return LoadedModels(mcld, load_pose_backend("tiny", device), load_face_backend("tiny", device), {})


def as_table(figures: dict[str, dict[str, float]]) -> str:
    """The figures as a Markdown table, a row per variant."""
    names = [name for name in FIGURES if any(name in row for row in figures.values())]
    lines = ["| variant | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for variant, row in figures.items():
        values = [f"{row[name]:.3f}" if name in row else "" for name in names]
        lines.append(f"| {variant} | " + " | ".join(values) + " |")
    return "\n".join(lines)
