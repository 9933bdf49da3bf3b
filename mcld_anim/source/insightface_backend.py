"""Faces by insightface (antelopev2), the embedder of the published MCLD. The only file that imports
insightface."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcld_anim.arrays import Iuv, Picture
from mcld_anim.errors import MissingDependencyError, WeightsError
from mcld_anim.source.face import Face

DEFAULT_FOLDER = Path("~/.insightface/models/antelopev2")
DETECTION_SIZE = (640, 640)
"""Width and height at which faces are looked for, as published."""

SAME_PERSON = 0.28
"""Cosine similarity; the bound of insightface's own face comparison example."""

_INSTALL = "pip install 'mcld-anim[face]'"
_FETCH = (
    "unpack antelopev2.zip from https://github.com/deepinsight/insightface/releases/tag/v0.7 there "
    "(its models are licensed for non-commercial research only)"
)


class InsightFaceBackend:
    """insightface's detector and its 512 number embedding."""

    name = "insightface"
    threshold = SAME_PERSON

    def __init__(self, analysis: Any) -> None:
        self._analysis = analysis

    def largest(self, picture: Picture, iuv: Iuv | None = None) -> Face | None:
        """The largest face; `iuv` is not needed."""
        return largest_face(self._analysis.get(np.ascontiguousarray(picture[..., ::-1])))  # insightface reads BGR


def largest_face(found: list[Any]) -> Face | None:
    """The face with the largest box among insightface's findings. The embedding is not normalised, as
    published."""
    if not found:
        return None
    face = max(found, key=lambda one: (one.bbox[2] - one.bbox[0]) * (one.bbox[3] - one.bbox[1]))
    x0, y0, x1, y1 = (float(value) for value in face.bbox)
    return Face(np.asarray(face.embedding, np.float32), (x0, y0, x1, y1))


def load_insightface_backend(folder: Path | None = None, device: torch.device | str = "cpu") -> InsightFaceBackend:
    """The backend with the ONNX models of `folder`, or of insightface's own place. Never downloads."""
    folder = check_model_folder((folder or DEFAULT_FOLDER).expanduser())
    check_package()
    from insightface.app import FaceAnalysis

    gpu = torch.device(device).type == "cuda"
    providers = (["CUDAExecutionProvider"] if gpu else []) + ["CPUExecutionProvider"]
    analysis = FaceAnalysis(name=str(folder), allowed_modules=["detection", "recognition"], providers=providers)
    analysis.prepare(ctx_id=0 if gpu else -1, det_size=DETECTION_SIZE)
    return InsightFaceBackend(analysis)


def check_package() -> None:
    """Refuse to go on without insightface and onnxruntime."""
    for package in ("insightface", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(f"--face insightface needs the package {package}: {_INSTALL}")


def check_model_folder(folder: Path) -> Path:
    """The folder with the ONNX files; insightface itself would download a missing one without asking."""
    if any(folder.glob("*.onnx")):
        return folder
    inner = folder / folder.name
    if any(inner.glob("*.onnx")):
        raise WeightsError(
            f"{folder} holds its models one folder too deep, as the archive unpacks: move {inner}/*.onnx to {folder}"
        )
    state = "holds no .onnx model" if folder.is_dir() else "does not exist"
    raise WeightsError(f"the face model folder {folder} {state}: {_FETCH}")
