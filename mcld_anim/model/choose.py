"""The choice of the model and of matching estimators where the user leaves it open."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcld_anim.core.errors import UsageError, WeightsError
from mcld_anim.core.home import expanded
from mcld_anim.options.model import ModelOptions, load_model_options
from mcld_anim.options.run import MODEL_NAMES
from mcld_anim.weights.inventory import EMBEDDED_MODEL
from mcld_anim.weights.published import MODELS, published_model
from mcld_anim.weights.store import first_pulled, is_pulled, model_folder, read_record
from mcld_anim.weights.table import EMBEDDED_FOLDER

if TYPE_CHECKING:
    import torch  # annotations only: `check_model` runs before torch is imported

TINY, PUBLISHED = EMBEDDED_MODEL, "mcld-sd15"
CONFIGURATION_NAME = "model.yaml"
"""Name of the architecture file in a user's folder of weights. Without it the published architecture is assumed."""
MCLD_PARTS = ("vae", "image_encoder", "reference_net", "denoiser", "pose_guider", "face_tokens", "detail")
"""Names of the networks of `Mcld` and of their files; "detail" is optional."""


@dataclass(frozen=True)
class ChosenModel:
    """A diffusion model's architecture and the folder of its files, one per network."""

    name: str
    options: ModelOptions
    folder: Path
    embedder: str
    """The face backend whose embeddings the model was trained with; it cannot interpret any other's."""


def check_model(name: str) -> None:
    """Raise UsageError if `--model` is neither a known name nor a folder with every file of a model.

    Only file names and `model.yaml` are read. A known name whose weights are not pulled passes; `find_model` refuses
    it.
    """
    if name in MODEL_NAMES:
        return
    folder = expanded(name)
    if not folder.is_dir():
        raise UsageError(f"--model {name} is not known; choose {', '.join(MODEL_NAMES)} or give a folder")
    detail = folder_options(folder).detail is not None
    files = [f"{part}.safetensors" for part in MCLD_PARTS if detail or part != "detail"]
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise UsageError(
            f"--model {name} holds no model: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; "
            "`mcld-anim models convert` writes such a folder"
        )


def folder_options(folder: Path) -> ModelOptions:
    """The architecture of a user's folder of weights: its own, or the published one if it has no `model.yaml`."""
    own = folder / CONFIGURATION_NAME
    return load_model_options(own if own.is_file() else "mcld_sd15")


def choose_model(name: str, device: torch.device) -> str:
    """Resolve `--model`: "auto" is the published model if it is pulled and an accelerator is present, else tiny."""
    if name != "auto":
        return name
    return PUBLISHED if device.type != "cpu" and is_pulled(published_model(PUBLISHED)) else TINY


def find_model(name: str) -> ChosenModel:
    """The model called `name`, or in the folder of that name; raises WeightsError if it is not here."""
    if name == TINY:
        return ChosenModel(name, load_model_options(TINY), EMBEDDED_FOLDER, TINY)
    for model in MODELS:
        if model.use == "model" and model.name == name:
            if not is_pulled(model):
                raise WeightsError(f"the model {name} is not complete here: run `mcld-anim models pull {name}`")
            return _with_embedder(name, load_model_options(model.configuration), model_folder(name))
    folder = expanded(name)
    if not folder.is_dir():
        raise WeightsError(f"--model {name} is neither auto, tiny nor {PUBLISHED} nor a folder: give one of these")
    return _with_embedder(str(folder), folder_options(folder), folder)


def _with_embedder(name: str, options: ModelOptions, folder: Path) -> ChosenModel:
    """Infer the embedder from the embedding size: 512 is insightface's, 128 the embedded embedder's."""
    small = options.face.embedding_dim == load_model_options(TINY).face.embedding_dim
    return ChosenModel(name, options, folder, TINY if small else "insightface")


def choose_densepose(name: str, device: torch.device, model: ChosenModel | None = None) -> str:
    """Resolve `--densepose`: "auto" is the best estimator that is here.

    In this order: pulled DensePose networks where an accelerator is present, the fitted body where its networks are
    pulled, the embedded estimator. That one was trained on rendered people and detects nothing in photographs, so
    "auto" never chooses it for another `model` than the embedded one; rather DensePose on a CPU.
    """
    if name != "auto":
        return name
    densepose = pulled_densepose()
    if densepose is not None and device.type != "cpu":
        return densepose
    if first_pulled("body"):
        return "body"
    if model is None or model.name == TINY:
        return TINY
    if densepose is not None:
        return densepose
    raise WeightsError(
        f"--densepose auto finds no estimator for the model {model.name}: run `mcld-anim models pull blazepose` (37 "
        "MB) or `mcld-anim models pull densepose-torchscript-r101`, give precomputed IUV, or ask for --densepose tiny "
        "(rendered people only)"
    )


def wants_body(name: str, device: torch.device) -> bool:
    """Whether `--densepose` means the fitted body once its networks are here."""
    return name == "body" or (name == "auto" and (device.type == "cpu" or pulled_densepose() is None))


def pulled_densepose() -> str | None:
    """The best estimator with DensePose networks that can run here; None if none is pulled."""
    if has_packages("detectron2", "densepose") and first_pulled("densepose"):
        return "detectron2"
    return "torchscript" if first_pulled("torchscript") else None


def choose_standalone_face(name: str) -> str:
    """What `--face` means where no diffusion model follows."""
    if name != "auto":
        return name
    return "insightface" if has_packages("insightface") and first_pulled("faces") else TINY


def choose_face(name: str, model: ChosenModel) -> str:
    """Resolve `--face`: "auto" is the embedder the model was trained with."""
    return model.embedder if name == "auto" else name


def estimator_checksums(densepose: str, face: str) -> dict[str, str]:
    """The recorded checksums of the pulled files that these estimators read, by file name."""
    uses = {"detectron2": "densepose", "torchscript": "torchscript", "insightface": "faces", "body": "body"}
    found: dict[str, str] = {}
    for use in (uses[name] for name in (densepose, face) if name in uses):
        model = first_pulled(use)
        for pulled in read_record(model_folder(model.name)).values() if model is not None else ():
            found |= {pulled.file: pulled.sha256, **pulled.more}
    return found


def has_packages(*names: str) -> bool:
    """Whether these packages are installed; they are not imported. A folder without `__init__.py` does not count."""
    specs = [importlib.util.find_spec(name) for name in names]
    return all(spec is not None and spec.origin is not None for spec in specs)


def default_pulls() -> tuple[str, ...]:
    """What `models pull` fetches without a name: everything the published model needs to make a frame here."""
    with_detectron2 = has_packages("detectron2", "densepose")
    return PUBLISHED, "densepose-r101" if with_detectron2 else "densepose-torchscript-r101", "antelopev2"
