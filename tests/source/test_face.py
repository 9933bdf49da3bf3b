"""Faces: comparing embeddings, choosing the largest face, and refusals before any download."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mcld_anim.core.errors import MissingDependencyError, UsageError, WeightsError
from mcld_anim.source.face import Face, load_face_backend, similarity
from mcld_anim.source.insightface_backend import check_model_folder, check_package, largest_face

BOX = (0.0, 0.0, 1.0, 1.0)


def face(*values: float) -> Face:
    return Face(np.array(values, np.float32), BOX)


def test_similarity_is_the_cosine_whatever_the_length() -> None:
    assert similarity(face(1, 0), face(5, 0)) == pytest.approx(1)
    assert similarity(face(1, 0), face(0, 2)) == pytest.approx(0)
    assert similarity(face(3, 4), face(-3, -4)) == pytest.approx(-1)
    assert similarity(face(1, 1), face(1, 0)) == pytest.approx(np.sqrt(0.5))


def test_embeddings_of_two_backends_are_not_compared() -> None:
    with pytest.raises(UsageError, match="two face backends"):
        similarity(face(1, 0), face(1, 0, 0))
    with pytest.raises(UsageError, match=r"of tiny .* and dlib"):
        similarity(face(1, 0), replace(face(1, 0), backend="dlib"))


def test_dlibs_faces_are_compared_by_their_distance() -> None:
    one, other = replace(face(3, 0), backend="dlib"), replace(face(3, 0.6), backend="dlib")
    assert similarity(one, one) == 1
    assert similarity(one, other) == pytest.approx(1 - 0.6)


def test_none_is_no_backend_and_an_unknown_name_is_refused() -> None:
    assert load_face_backend("none") is None
    with pytest.raises(UsageError, match="tiny, insightface, dlib or none"):
        load_face_backend("opencv")


def test_the_largest_face_is_taken_with_its_raw_embedding() -> None:
    found = [
        SimpleNamespace(bbox=np.array([0, 0, 10, 90.0]), embedding=np.array([1.0])),
        SimpleNamespace(bbox=np.array([5, 5, 45, 45.0]), embedding=np.array([20.0])),
        SimpleNamespace(bbox=np.array([-4, 0, 6, 9.0]), embedding=np.array([3.0])),
    ]
    largest = largest_face(found)
    assert largest is not None
    assert largest.box == (5, 5, 45, 45)
    assert largest.embedding.dtype == np.float32
    assert largest.embedding.tolist() == [20]
    assert largest_face([]) is None


def test_a_missing_model_folder_names_place_command_and_licence(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"does not exist.*models pull antelopev2.*non-commercial"):
        check_model_folder(tmp_path / "antelopev2")
    (tmp_path / "antelopev2").mkdir()
    with pytest.raises(WeightsError, match=r"holds no \.onnx"):
        check_model_folder(tmp_path / "antelopev2")


def test_the_archives_doubled_folder_is_looked_into(tmp_path: Path) -> None:
    folder = tmp_path / "antelopev2"
    (folder / "antelopev2").mkdir(parents=True)
    (folder / "antelopev2" / "glintr100.onnx").touch()
    assert check_model_folder(folder) == folder / "antelopev2"
    assert check_model_folder(folder / "antelopev2") == folder / "antelopev2"


def test_a_missing_package_names_the_install_line() -> None:
    if importlib.util.find_spec("insightface") and importlib.util.find_spec("onnxruntime"):
        check_package()
    else:
        with pytest.raises(MissingDependencyError, match=r"pip install 'mcld-anim\[face\]'"):
            check_package()
