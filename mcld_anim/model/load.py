"""Load a model for running: its networks, the DensePose estimator, the face embedder, and checksums."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from mcld_anim.core.checksums import file_sha256
from mcld_anim.core.errors import MissingDependencyError, WeightsError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.model.build import Mcld, build_mcld
from mcld_anim.model.choose import (
    MCLD_PARTS,
    ChosenModel,
    choose_densepose,
    choose_face,
    estimator_checksums,
    find_model,
)
from mcld_anim.pose.backends import PoseBackend, load_pose_backend
from mcld_anim.source.face import FaceBackend, load_face_backend
from mcld_anim.weights.pickles import read_tensors
from mcld_anim.weights.store import recorded_checksum
from mcld_anim.weights.strict import assign_strictly
from mcld_anim.weights.table import EMBEDDED_FOLDER


@dataclass(frozen=True)
class LoadedModels:
    """All models that a run needs, loaded on its device."""

    mcld: Mcld
    pose_backend: PoseBackend
    face_backend: FaceBackend | None  # measures face similarity; None: neither condition nor similarity is wanted
    checksums: Mapping[str, str]  # file name -> SHA-256 of the weights that were read
    name: str = "tiny"  # as in `--model`
    measures_only: bool = False  # whether the model was trained with another embedder than `face_backend`
    native_embedder: FaceBackend | None = None  # if `measures_only`: the model's embedder; None: not installed

    @property
    def condition_backend(self) -> FaceBackend | None:
        """The embedder of the source's face for the model's face condition."""
        return self.native_embedder if self.measures_only else self.face_backend

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        return next(self.mcld.denoiser.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the networks."""
        return next(self.mcld.denoiser.parameters()).dtype


def load_models(
    model: str, device: torch.device, dtype: torch.dtype, densepose: str, face: str, on_event: EventSink = warn
) -> LoadedModels:
    """Load a model ("tiny", "mcld-sd15" or a folder) with a DensePose and a face backend ("auto": the matching one)."""
    chosen = find_model(model)
    pose_name, face_name = choose_densepose(densepose, device, chosen), choose_face(face, chosen)
    # Estimators first: a missing package fails there within moments.
    pose_backend = load_pose_backend(pose_name, device)
    face_backend = load_face_backend(face_name, device, on_event=on_event)
    measures_only = face_name not in ("none", chosen.embedder)
    embedder = load_embedder(chosen, device, on_event) if measures_only else None
    mcld, used = load_mcld(chosen, device, dtype)
    tiny = (("densepose", pose_name == "tiny"), ("face", "tiny" in (face_name, embedder and embedder.name)))
    used += [EMBEDDED_FOLDER / f"{part}.safetensors" for part, read in tiny if read]
    checksums = {path.name: recorded_checksum(path) or file_sha256(path) for path in used}
    checksums |= estimator_checksums(pose_name, face_name)
    return LoadedModels(mcld, pose_backend, face_backend, checksums, chosen.name, measures_only, embedder)


def load_embedder(chosen: ChosenModel, device: torch.device, on_event: EventSink) -> FaceBackend | None:
    """The embedder the model was trained with, when another one measures; None, with an event, if it is missing."""
    try:
        return load_face_backend(chosen.embedder, device, on_event=on_event)
    except (MissingDependencyError, WeightsError) as error:
        on_event(
            Event(
                "face_condition_missing",
                f"the model {chosen.name} is not told the source's face: it knows embeddings of {chosen.embedder} "
                f"only, and {error}",
            )
        )
        return None


def load_mcld(chosen: ChosenModel, device: torch.device, dtype: torch.dtype) -> tuple[Mcld, list[Path]]:
    """All networks of a model, and the files they were read from.

    No weight is initialised or held twice: the networks are built on the meta device and assigned each file's tensors.
    """
    with torch.device("meta"):
        mcld = build_mcld(chosen.options)
    used = []
    for part in MCLD_PARTS:
        network = getattr(mcld, part)
        if network is None:
            continue
        path = chosen.folder / f"{part}.safetensors"
        if not path.is_file():
            raise WeightsError(f"the weights {path} are missing: {_remedy(chosen)}")
        assign_strictly(network, read_tensors(path), part, _remedy(chosen), device, dtype)
        used.append(path)
    restore_constants(mcld, device)
    return mcld.requires_grad_(False).eval(), used


def restore_constants(mcld: Mcld, device: torch.device) -> None:
    """Create CLIP's position ids, which no file holds; any other tensor still on the meta device is an error."""
    embeddings = mcld.image_encoder.vision_model.embeddings
    embeddings.position_ids = torch.arange(embeddings.num_positions, device=device).expand((1, -1))
    empty = [name for name, t in itertools.chain(mcld.named_parameters(), mcld.named_buffers()) if t.is_meta]
    if empty:
        raise WeightsError(
            f"no file holds {', '.join(empty)}: this version of transformers or diffusers is not supported"
        )


def _remedy(chosen: ChosenModel) -> str:
    if chosen.name == "tiny":
        return "install mcld-anim again"
    return f"run `mcld-anim models pull`, or give a folder that `mcld-anim models convert` wrote ({chosen.folder})"
