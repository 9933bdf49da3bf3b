"""Load a model for running: the DensePose estimator, the face embedder, the model's networks, and checksums."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.checksums import file_sha256
from mcld_anim.core.errors import MissingDependencyError, WeightsError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.model.choose import (
    MCLD_PARTS,
    ChosenModel,
    choose_densepose,
    choose_face,
    estimator_checksums,
    find_model,
)
from mcld_anim.options.model import ModelOptions
from mcld_anim.pose.backends import PoseBackend, load_pose_backend
from mcld_anim.source.face import Face, FaceBackend, load_face_backend
from mcld_anim.weights.pickles import read_tensors
from mcld_anim.weights.store import recorded_checksum
from mcld_anim.weights.strict import assign_strictly
from mcld_anim.weights.table import EMBEDDED_FOLDER

if TYPE_CHECKING:
    from mcld_anim.model.build import Mcld  # it imports diffusers, which takes seconds


@dataclass(frozen=True, eq=False)
class LoadedModels:
    """All models that a run needs, on its device."""

    options: ModelOptions
    read: Callable[[], Mcld]  # the networks of the model
    pose_backend: PoseBackend
    face_backend: FaceBackend | None  # measures face similarity; None: neither condition nor similarity is wanted
    device: torch.device  # of the networks
    dtype: torch.dtype  # of the networks
    weights: Mapping[str, str]  # file name -> SHA-256 of the networks' weights
    estimator_weights: Mapping[str, str] = field(default_factory=dict)  # the same of both backends
    name: str = "tiny"  # as in `--model`
    measures_only: bool = False  # whether the model was trained with another embedder than `face_backend`
    native_embedder: FaceBackend | None = None  # if `measures_only`: the model's embedder; None: not installed
    offload: bool = False  # whether networks rest in main memory

    @cached_property
    def mcld(self) -> Mcld:
        """The networks, read when they are first used: what keeps the photo's own pixels needs none."""
        return self.read()

    def weights_read(self, networks: bool) -> dict[str, str]:
        """SHA-256 by file name of the weights that frames depend on, with those of the networks or without."""
        return {**self.estimator_weights, **(self.weights if networks else {})}

    def face_in(self, picture: Picture, iuv: Iuv) -> Face | None:
        """The largest face in a picture, by the backend that measures; None if there is none, or none is looked for."""
        return None if self.face_backend is None else self.face_backend.largest(picture, iuv)

    @classmethod
    def of(
        cls,
        mcld: Mcld,
        pose_backend: PoseBackend,
        face_backend: FaceBackend | None,
        weights: Mapping[str, str] | None = None,
    ) -> LoadedModels:
        """Networks that are at hand, with estimators."""
        like = next(mcld.denoiser.parameters())
        place = like.device, like.dtype
        return cls(mcld.options, lambda: mcld, pose_backend, face_backend, *place, weights or {})


def load_models(
    model: str,
    device: torch.device,
    dtype: torch.dtype,
    densepose: str,
    face: str,
    on_event: EventSink = warn,
    offload: bool = False,
) -> LoadedModels:
    """Load a model ("tiny", "mcld-sd15" or a folder) with a DensePose and a face backend ("auto": the matching one).

    The networks of models that keep a photo's own pixels are read when they are first used, others now. `offload`: they
    rest in main memory, see `model.offload`.
    """
    chosen = find_model(model)
    pose_name, face_name = choose_densepose(densepose, device, chosen), choose_face(face, chosen)
    # Estimators first: a missing package fails there within moments.
    pose_backend = load_pose_backend(pose_name, device)
    face_backend = load_face_backend(face_name, device, on_event=on_event)
    measures_only = face_name not in ("none", chosen.embedder)
    embedder = load_embedder(chosen, device, on_event) if measures_only else None
    tiny = (("densepose", pose_name == "tiny"), ("face", "tiny" in (face_name, embedder and embedder.name)))
    embedded = [EMBEDDED_FOLDER / f"{part}.safetensors" for part, read in tiny if read]
    models = LoadedModels(
        options=chosen.options,
        read=partial(load_mcld, chosen, device, dtype, offload),
        pose_backend=pose_backend,
        face_backend=face_backend,
        device=device,
        dtype=dtype,
        weights=_checksums(model_files(chosen).values()),
        estimator_weights=_checksums(embedded) | estimator_checksums(pose_name, face_name),
        name=chosen.name,
        measures_only=measures_only,
        native_embedder=embedder,
        offload=offload,
    )
    if not chosen.options.photo_pixels:
        _ = models.mcld
    return models


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


def model_files(chosen: ChosenModel) -> dict[str, Path]:
    """The files of a model's networks by part. Raises WeightsError if one is missing."""
    parts = [part for part in MCLD_PARTS if part != "detail" or chosen.options.detail is not None]
    files = {part: chosen.folder / f"{part}.safetensors" for part in parts}
    for path in files.values():
        if not path.is_file():
            raise WeightsError(f"the weights {path} are missing: {_remedy(chosen)}")
    return files


def load_mcld(chosen: ChosenModel, device: torch.device, dtype: torch.dtype, offload: bool = False) -> Mcld:
    """All networks of a model; `offload`: at rest in main memory.

    No weight is initialised or held twice: the networks are built on the meta device and assigned each file's tensors.
    """
    from mcld_anim.model.build import build_mcld
    from mcld_anim.model.offload import Offload

    files = model_files(chosen)
    with torch.device("meta"):
        mcld = build_mcld(chosen.options)
    for part, path in files.items():
        place = torch.device("cpu") if offload else device
        assign_strictly(getattr(mcld, part), read_tensors(path), part, _remedy(chosen), place, dtype)
    restore_constants(mcld, device)
    if offload:
        mcld.offload = Offload(device)
    return mcld.requires_grad_(False).eval()


def restore_constants(mcld: Mcld, device: torch.device) -> None:
    """Create CLIP's position ids, which no file holds; any other tensor still on the meta device is an error."""
    embeddings = mcld.image_encoder.vision_model.embeddings
    embeddings.position_ids = torch.arange(embeddings.num_positions, device=device).expand((1, -1))
    empty = [name for name, t in itertools.chain(mcld.named_parameters(), mcld.named_buffers()) if t.is_meta]
    if empty:
        raise WeightsError(
            f"no file holds {', '.join(empty)}: this version of transformers or diffusers is not supported"
        )


def _checksums(files: Iterable[Path]) -> dict[str, str]:
    return {path.name: recorded_checksum(path) or file_sha256(path) for path in files}


def _remedy(chosen: ChosenModel) -> str:
    if chosen.name == "tiny":
        return "install mcld-anim again"
    return f"run `mcld-anim models pull`, or give a folder that `mcld-anim models convert` wrote ({chosen.folder})"
