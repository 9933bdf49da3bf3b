"""Load a model for running: its networks, the DensePose estimator, the face embedder, and checksums."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from mcld_anim.errors import WeightsError
from mcld_anim.model.build import Mcld, build_mcld
from mcld_anim.options.model import load_model_options
from mcld_anim.pose.backends import PoseBackend, load_pose_backend
from mcld_anim.source.face import FaceBackend, load_face_backend
from mcld_anim.weights.table import EMBEDDED_FOLDER, file_sha256

MCLD_PARTS = ("vae", "image_encoder", "reference_net", "denoiser", "pose_guider", "face_tokens", "detail")
"""Attributes of `Mcld`, and the names of their files; a model need not have the last."""


@dataclass(frozen=True)
class LoadedModels:
    """Everything with weights that a run needs, ready on its device."""

    mcld: Mcld
    pose_backend: PoseBackend
    face_backend: FaceBackend | None  # None: no face condition and no face similarity were asked for
    checksums: Mapping[str, str]  # file name -> SHA-256 of the weights that were read

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        return next(self.mcld.denoiser.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the networks compute in."""
        return next(self.mcld.denoiser.parameters()).dtype


def load_models(model: str, device: torch.device, dtype: torch.dtype, densepose: str, face: str) -> LoadedModels:
    """Load a bundled model by name with a DensePose backend and a face backend ("none": without)."""
    options = load_model_options(model)
    mcld = build_mcld(options)
    parts = [part for part in MCLD_PARTS if getattr(mcld, part) is not None]
    for part in parts:
        fill(getattr(mcld, part), load_file(embedded_file(part)), part)
    mcld.requires_grad_(False).eval().to(device, dtype)
    used = [
        *parts,
        *(["densepose"] if densepose == "tiny" else []),
        *(["face"] if face == "tiny" else []),
    ]
    return LoadedModels(
        mcld=mcld,
        pose_backend=load_pose_backend(densepose, device),
        face_backend=None if face == "none" else load_face_backend(face, device),
        checksums={embedded_file(part).name: file_sha256(embedded_file(part)) for part in used},
    )


def embedded_file(part: str) -> Path:
    """The embedded file of one part."""
    path = EMBEDDED_FOLDER / f"{part}.safetensors"
    if not path.is_file():
        raise WeightsError(f"the embedded weights {path.name} are not in this installation: install mcld-anim again")
    return path


def fill(module: nn.Module, tensors: Mapping[str, Tensor], part: str) -> None:
    """Put `tensors` into a module, strictly: every key once, every shape as it is built."""
    known = module.state_dict()
    missing, unexpected = sorted(set(known) - set(tensors)), sorted(set(tensors) - set(known))
    wrong = [key for key in known if key in tensors and known[key].shape != tensors[key].shape]
    if missing or unexpected or wrong:
        raise WeightsError(
            f"{part} weights do not fit: missing {missing or 'none'}, unexpected {unexpected or 'none'}, "
            f"of another shape {wrong or 'none'}; install mcld-anim again"
        )
    wide = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    module.load_state_dict(wide, strict=True)
