"""Faces by insightface (antelopev2), the embedder of the published MCLD; the only file that imports it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import MissingDependencyError, WeightsError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.home import expanded
from mcld_anim.source.face import COSINE_SCALE, Face
from mcld_anim.weights.store import model_folder

MODELS_NAME = "antelopev2"
"""Name of the models in the table of published weights and in insightface's folder."""
OWN_FOLDER = Path("~/.insightface/models") / MODELS_NAME
DETECTION_SIZE = (640, 640)
"""Width and height of the detector's input, as published."""
GPU_PROVIDER, CPU_PROVIDER = "CUDAExecutionProvider", "CPUExecutionProvider"

SAME_FACE_COSINE = 0.28
"""Least cosine similarity of two faces of one person, from insightface's own example of face comparison."""

_INSTALL = "pip install 'mcld-anim[face]'"
_FETCH = f"run `mcld-anim models pull {MODELS_NAME}` (its models are licensed for non-commercial research only)"


class InsightFaceBackend:
    """insightface's detector and its embedding of 512 numbers."""

    name = "insightface"
    scale = COSINE_SCALE
    threshold = SAME_FACE_COSINE

    def __init__(self, analysis: Any) -> None:
        self._analysis = analysis

    def largest(self, picture: Picture, iuv: Iuv | None = None) -> Face | None:
        """The largest face; `iuv` is not needed."""
        return largest_face(self._analysis.get(np.ascontiguousarray(picture[..., ::-1])))  # insightface reads BGR

    @property
    def providers(self) -> set[str]:
        """The first execution provider of each model's session."""
        return {model.session.get_providers()[0] for model in self._analysis.models.values()}


def largest_face(found: list[Any]) -> Face | None:
    """The face with the largest box among insightface's detections; its embedding is not normalised, as published."""
    if not found:
        return None
    face = max(found, key=lambda one: (one.bbox[2] - one.bbox[0]) * (one.bbox[3] - one.bbox[1]))
    x0, y0, x1, y1 = (float(value) for value in face.bbox)
    return Face(np.asarray(face.embedding, np.float32), (x0, y0, x1, y1), InsightFaceBackend.name)


def load_insightface_backend(
    folder: Path | None = None, device: torch.device | str = "cpu", on_event: EventSink = warn
) -> InsightFaceBackend:
    """Load the ONNX models of `folder`, of `models pull`, or of insightface's own folder. Never downloads."""
    folder = check_model_folder(expanded(folder)) if folder is not None else find_model_folder()
    check_package()
    from insightface.app import FaceAnalysis

    gpu = torch.device(device).type == "cuda"
    providers = [GPU_PROVIDER, CPU_PROVIDER] if gpu else [CPU_PROVIDER]
    try:
        analysis = FaceAnalysis(name=str(folder), allowed_modules=["detection", "recognition"], providers=providers)
        analysis.prepare(ctx_id=0 if gpu else -1, det_size=DETECTION_SIZE)
    except AssertionError as error:  # insightface's only sign of a missing model
        raise WeightsError(f"{folder} has no face detector among its ONNX files: {_FETCH}") from error
    except Exception as error:  # onnxruntime's errors have no common base, and a damaged file may raise any of them
        raise WeightsError(f"the face models in {folder} cannot be read ({str(error)[:160]}): {_FETCH}") from error
    if "recognition" not in analysis.models:
        raise WeightsError(f"{folder} has no face embedder among its ONNX files: {_FETCH}")
    backend = InsightFaceBackend(analysis)
    if gpu and backend.providers != {GPU_PROVIDER}:
        on_event(
            Event(
                "face_on_cpu",
                "faces are embedded on the CPU: onnxruntime has no CUDA here. For the GPU run "
                "`pip uninstall -y onnxruntime && pip install --force-reinstall onnxruntime-gpu`",
            )
        )
    return backend


def check_package() -> None:
    """Raise MissingDependencyError without insightface and onnxruntime."""
    for package in ("insightface", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(f"--face insightface needs the package {package}: {_INSTALL}")


def find_model_folder() -> Path:
    """The folder of antelopev2: that of `models pull`, else insightface's own."""
    pulled = model_folder(MODELS_NAME)
    return check_model_folder(pulled if any(pulled.glob("*.onnx")) else expanded(OWN_FOLDER))


def check_model_folder(folder: Path) -> Path:
    """The folder that holds the ONNX files; insightface itself would download a missing one without asking.

    The published archive unpacks one folder too deep, where insightface does not look; the inner folder is used then.
    """
    for place in (folder, folder / folder.name):
        if any(place.glob("*.onnx")):
            return place
    state = "holds no .onnx model" if folder.is_dir() else "does not exist"
    raise WeightsError(f"the face model folder {folder} {state}: {_FETCH}")
