"""The real insightface, if installed, with our own detector and embedder in small ONNX files."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import WeightsError
from mcld_anim.core.events import Event
from mcld_anim.source import insightface_backend as room
from mcld_anim.source.face import COSINE_SCALE, FaceBackend, load_face_backend, similarity
from mcld_anim.source.insightface_backend import InsightFaceBackend

STRIDES = (8, 16, 32)
ANCHORS = 2
REACH = 4.0
"""Extent of a detected box on each side of its anchor, in strides."""


def write_detector(path: Path) -> None:
    """SCRFD's interface: 9 outputs, scores, boxes and keypoints at 3 strides. White pixels at stride 8 are a face."""
    import onnx
    from onnx import TensorProto, helper

    nodes, outputs, constants = [], {"scores": [], "boxes": [], "points": []}, []

    def constant(name: str, values: Any) -> str:
        constants.append(onnx.numpy_helper.from_array(np.asarray(values), name))
        return name

    column = constant("column", np.array([-1, 1], np.int64))
    anchors = constant("anchors", np.array([1, ANCHORS], np.int64))
    for stride in STRIDES:
        s = str(stride)
        bound = constant("bound" + s, np.float32(-0.9 if stride == STRIDES[0] else -9.0))
        size = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes += [
            helper.make_node("AveragePool", ["input"], ["small" + s], **size),
            helper.make_node("ReduceMin", ["small" + s, constant("axis" + s, np.array([1], np.int64))], ["dark" + s]),
            helper.make_node("Reshape", ["dark" + s, column], ["flat" + s]),
            helper.make_node("Tile", ["flat" + s, anchors], ["twice" + s]),
            helper.make_node("Reshape", ["twice" + s, column], ["each" + s]),
            helper.make_node("Add", ["each" + s, bound], ["over" + s]),
            helper.make_node("Mul", ["over" + s, constant("steep" + s, np.float32(20.0))], ["logit" + s]),
            helper.make_node("Sigmoid", ["logit" + s], ["score" + s]),
            helper.make_node("Mul", ["each" + s, constant("zero" + s, np.float32(0.0))], ["nothing" + s]),
        ]
        eyes_nose_mouth = np.array([[-1, -1, 1, -1, 0, 0, -1, 1, 1, 1]], np.float32)
        for kind, values in (("boxes", np.full((1, 4), REACH, np.float32)), ("points", eyes_nose_mouth)):
            nodes.append(helper.make_node("Add", ["nothing" + s, constant(kind + "_at" + s, values)], [kind + s]))
            outputs[kind].append(kind + s)
        outputs["scores"].append("score" + s)
    names = [*outputs["scores"], *outputs["boxes"], *outputs["points"]]
    save(path, nodes, [1, 3, "height", "width"], [(name, [None, None]) for name in names], constants, TensorProto.FLOAT)


def write_embedder(path: Path) -> None:
    """ArcFace's interface: a 112 x 112 face in, 512 numbers out: the colours of a 16 x 16 grid."""
    import onnx
    from onnx import TensorProto, helper

    shape = onnx.numpy_helper.from_array(np.array([1, 768], np.int64), "shape")
    first = onnx.numpy_helper.from_array(np.array([0], np.int64), "first")
    last = onnx.numpy_helper.from_array(np.array([512], np.int64), "last")
    axis = onnx.numpy_helper.from_array(np.array([1], np.int64), "along")
    nodes = [
        helper.make_node("AveragePool", ["data"], ["grid"], kernel_shape=[7, 7], strides=[7, 7]),
        helper.make_node("Reshape", ["grid", "shape"], ["all"]),
        helper.make_node("Slice", ["all", "first", "last", "along"], ["embedding"]),
    ]
    constants = [shape, first, last, axis]
    save(path, nodes, [1, 3, 112, 112], [("embedding", [1, 512])], constants, TensorProto.FLOAT, "data")


def save(
    path: Path,
    nodes: list,
    shape: list,
    outputs: list[tuple[str, list]],
    constants: list,
    kind: int,
    name: str = "input",
) -> None:
    import onnx
    from onnx import helper

    given = [helper.make_tensor_value_info(name, kind, shape)]
    made = [helper.make_tensor_value_info(one, kind, size) for one, size in outputs]
    graph = helper.make_graph(nodes, path.stem, given, made, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """antelopev2 as its archive unpacks: one folder too deep."""
    pytest.importorskip("onnx")
    pytest.importorskip("insightface")
    folder = tmp_path_factory.mktemp("models") / "antelopev2"
    (folder / "antelopev2").mkdir(parents=True)
    write_detector(folder / "antelopev2" / "scrfd.onnx")
    write_embedder(folder / "antelopev2" / "glintr100.onnx")
    return folder


@pytest.fixture(scope="module")
def backend(models: Path) -> FaceBackend:
    made = load_face_backend("insightface", weights=models)
    assert made is not None
    return made


def picture(x: int, y: int, side: int = 24, colour: tuple[int, int, int] = (0, 0, 0)) -> Picture:
    """A 640 x 640 picture of one colour with a white square."""
    made = np.full((640, 640, 3), colour, np.uint8)
    made[y : y + side, x : x + side] = 255
    return made


def test_a_face_is_found_where_it_is(backend: FaceBackend) -> None:
    face = backend.largest(picture(304, 200))
    assert face is not None
    assert (face.backend, backend.scale, backend.threshold) == ("insightface", COSINE_SCALE, 0.28)
    middle = ((face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2)
    assert abs(middle[0] - 316) < 20
    assert abs(middle[1] - 212) < 20
    assert face.embedding.shape == (512,)
    assert face.embedding.dtype == np.float32
    assert np.linalg.norm(face.embedding) > 2  # as the network gives it, not of unit length
    assert backend.largest(np.zeros((640, 640, 3), np.uint8)) is None


def test_colours_reach_the_embedder_in_its_order(backend: FaceBackend) -> None:
    red, blue = (backend.largest(picture(304, 200, colour=c)) for c in ((255, 0, 0), (0, 0, 255)))
    assert red is not None
    assert blue is not None
    assert similarity(red, red) == pytest.approx(1)
    assert similarity(red, blue) < 0.99
    planes = red.embedding[:256].mean(), red.embedding[256:512].mean()
    assert planes[0] > planes[1]  # the first plane of the network's input is red


def test_a_folder_without_detector_or_embedder_is_refused(models: Path, tmp_path: Path) -> None:
    source = models / "antelopev2"
    for name, words in (("scrfd.onnx", "no face embedder"), ("glintr100.onnx", "no face detector")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes((source / name).read_bytes())
        with pytest.raises(WeightsError, match=words):
            load_face_backend("insightface", weights=folder)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "scrfd.onnx").write_bytes(b"not a model")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_face_backend("insightface", weights=damaged)


def test_a_gpu_that_was_asked_for_and_not_had_is_said(models: Path) -> None:
    import onnxruntime

    if room.GPU_PROVIDER in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime has CUDA here")
    events: list[Event] = []
    made = load_face_backend("insightface", "cuda", models, events.append)
    assert isinstance(made, InsightFaceBackend)
    assert made.providers == {room.CPU_PROVIDER}
    assert [event.kind for event in events] == ["face_on_cpu"]
    assert "onnxruntime-gpu" in events[0].message


def test_pulled_models_come_before_insightfaces_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(room, "OWN_FOLDER", tmp_path / "own" / "antelopev2")
    with pytest.raises(WeightsError, match="models pull antelopev2"):
        room.find_model_folder()
    for folder in (tmp_path / "own" / "antelopev2", tmp_path / "home" / "antelopev2"):
        folder.mkdir(parents=True)
        (folder / "a.onnx").touch()
        assert room.find_model_folder() == folder


def test_where_each_session_computes() -> None:
    def session(*providers: str) -> SimpleNamespace:
        return SimpleNamespace(session=SimpleNamespace(get_providers=lambda: list(providers)))

    analysis = SimpleNamespace(models={"a": session("A", "C"), "b": session("C")})
    assert InsightFaceBackend(analysis).providers == {"A", "C"}
