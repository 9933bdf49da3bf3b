"""Which model runs, and which estimators go with it, where the user leaves that open."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch

from mcld_anim.core.errors import WeightsError
from mcld_anim.options.model import ModelOptions, load_model_options
from mcld_anim.weights.published import MODELS, published_model
from mcld_anim.weights.store import first_pulled, is_pulled, model_folder
from mcld_anim.weights.table import EMBEDDED_FOLDER

TINY, PUBLISHED = "tiny", "mcld-sd15"
CONFIGURATION_NAME = "model.yaml"
"""In a user's own folder of weights: its architecture. Without it the published one is assumed."""


@dataclass(frozen=True)
class ChosenModel:
    """A diffusion model's architecture and where its files lie, one per network."""

    name: str
    options: ModelOptions
    folder: Path
    embedder: str
    """The face backend whose embeddings it was trained with; others mean nothing to it."""


def choose_model(name: str, device: torch.device) -> str:
    """What `--model` means here: "auto" is the published model where it is pulled and an accelerator is present."""
    if name != "auto":
        return name
    return PUBLISHED if device.type != "cpu" and is_pulled(published_model(PUBLISHED)) else TINY


def find_model(name: str) -> ChosenModel:
    """The model called `name`, or in the folder of that name; WeightsError where it is not here."""
    if name == TINY:
        return ChosenModel(name, load_model_options(TINY), EMBEDDED_FOLDER, TINY)
    for model in MODELS:
        if model.use == "model" and model.name == name:
            if not is_pulled(model):
                raise WeightsError(f"the model {name} is not complete here: run `mcld-anim models pull {name}`")
            return _large(name, load_model_options(model.configuration), model_folder(name))
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise WeightsError(f"--model {name} is neither auto, tiny nor {PUBLISHED} nor a folder: give one of these")
    own = folder / CONFIGURATION_NAME
    return _large(str(folder), load_model_options(own if own.is_file() else "mcld_sd15"), folder)


def _large(name: str, options: ModelOptions, folder: Path) -> ChosenModel:
    """Embeddings of 512 numbers are insightface's, of 128 the embedded embedder's."""
    small = options.face.embedding_dim == load_model_options(TINY).face.embedding_dim
    return ChosenModel(name, options, folder, TINY if small else "insightface")


def choose_densepose(name: str, model: ChosenModel) -> str:
    """What `--densepose` means here: "auto" is the best estimator present that fits the model.

    The embedded model has learned from the embedded estimator's kind of people; that one sees nothing in photographs,
    so it is never taken for another model unless it is asked for.
    """
    if name != "auto":
        return name
    if model.name == TINY:
        return TINY
    best = best_densepose()
    if best is not None:
        return best
    raise WeightsError(
        f"--densepose auto finds no estimator for the model {model.name}: run `mcld-anim models pull "
        "densepose-torchscript-r101` (needs no other package), give precomputed IUV, or ask for --densepose tiny "
        "(rendered people only)"
    )


def best_densepose() -> str | None:
    """The best estimator of photographs that could run here, None where there is none."""
    if has_packages("detectron2", "densepose") and first_pulled("densepose"):
        return "detectron2"
    return "torchscript" if first_pulled("torchscript") else None


def choose_alone(name: str) -> str:
    """What `--densepose` means where no diffusion model follows."""
    return best_densepose() or TINY if name == "auto" else name


def choose_face_alone(name: str) -> str:
    """What `--face` means where no diffusion model follows."""
    if name != "auto":
        return name
    return "insightface" if has_packages("insightface") and first_pulled("faces") else TINY


def choose_face(name: str, model: ChosenModel) -> str:
    """What `--face` means here: "auto" is the embedder that the model was trained with."""
    return model.embedder if name == "auto" else name


def has_packages(*names: str) -> bool:
    """Whether these packages are installed; they are not imported. A mere folder of that name is none."""
    specs = [importlib.util.find_spec(name) for name in names]
    return all(spec is not None and spec.origin is not None for spec in specs)


def default_pulls() -> tuple[str, ...]:
    """What `models pull` fetches without a name: all that a first frame of the published model needs here."""
    with_detectron2 = has_packages("detectron2", "densepose")
    return PUBLISHED, "densepose-r101" if with_detectron2 else "densepose-torchscript-r101", "antelopev2"
