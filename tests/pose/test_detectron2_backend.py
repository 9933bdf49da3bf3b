"""From detectron2's output to an IUV; fake modules with its interface replace the package if it is missing."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mcld_anim.core.errors import MissingDependencyError, WeightsError
from mcld_anim.pose.assemble import assemble_iuv
from mcld_anim.pose.backends import load_pose_backend
from mcld_anim.pose.detectron2_backend import SETTINGS, check_packages, load_weights
from mcld_anim.setup.pull import PullOptions, pull
from mcld_anim.weights import published, store
from mcld_anim.weights.origins import UrlFile
from mcld_anim.weights.published import PublishedFile, PublishedModel


def maps(part: int, u: float = 0.5, v: float = 0.25, person: bool = True) -> list[torch.Tensor]:
    """Constant maps (1, ., 112, 112)."""
    coarse, fine = torch.zeros(1, 2, 112, 112), torch.zeros(1, 25, 112, 112)
    coarse[:, int(person)] = 1
    fine[:, part] = 1
    us, vs = torch.full((1, 25, 112, 112), 9.0), torch.full((1, 25, 112, 112), 9.0)
    us[:, part], vs[:, part] = u, v
    return [coarse, fine, us, vs]


def test_the_box_is_painted_with_truncated_corner_and_size() -> None:
    iuv = assemble_iuv((3.9, 5.2, 10.8, 9.1), *maps(7), (20, 30))
    inside = iuv[..., 0] > 0
    rows, columns = np.nonzero(inside)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 7, 3, 8)
    assert (iuv[inside] == (7, 127, 63)).all()


def test_coordinates_are_clamped_not_wrapped() -> None:
    assert (assemble_iuv((0, 0, 4, 4), *maps(1, 1.7, -0.3), (4, 4)) == (1, 255, 0)).all()


def test_the_background_is_empty_in_all_planes() -> None:
    assert not assemble_iuv((0, 0, 4, 4), *maps(5, person=False), (4, 4)).any()
    assert not assemble_iuv((0, 0, 4, 4), *maps(0), (4, 4)).any()


@pytest.mark.parametrize(
    ("box", "rows", "columns"),
    [
        ((-5.0, -3.0, 4.0, 6.0), (0, 6), (0, 4)),
        ((6.0, 7.0, 30.0, 40.0), (7, 10), (6, 10)),
        ((-90.0, -90.0, 90.0, 90.0), (0, 10), (0, 10)),
        ((20.0, 20.0, 30.0, 30.0), None, None),
        ((4.0, 4.0, 4.0, 4.0), (4, 5), (4, 5)),
    ],
)
def test_what_lies_outside_the_picture_is_cut_off(
    box: tuple[float, ...], rows: tuple[int, int] | None, columns: tuple[int, int] | None
) -> None:
    inside = assemble_iuv(box, *maps(3), (10, 10))[..., 0] > 0  # type: ignore[arg-type]
    expected = np.zeros((10, 10), bool)
    if rows is not None and columns is not None:
        expected[slice(*rows), slice(*columns)] = True
    np.testing.assert_array_equal(inside, expected)


def test_each_pixel_reads_the_channel_of_its_own_part() -> None:
    generator = torch.Generator().manual_seed(0)
    coarse, fine, u, v = (torch.rand(1, c, 112, 112, generator=generator) for c in (2, 25, 25, 25))
    iuv = assemble_iuv((0, 0, 112, 112), coarse, fine, u, v, (112, 112))  # as large as the maps: no resampling
    part = fine[0].argmax(0).numpy() * (coarse[0, 1] > coarse[0, 0]).numpy()
    np.testing.assert_array_equal(iuv[..., 0], part)
    for row, column in ((0, 0), (5, 90), (77, 31), (111, 111)):
        chosen = part[row, column]
        expected = [int(plane[0, chosen, row, column] * 255) if chosen else 0 for plane in (u, v)]
        assert iuv[row, column, 1:].tolist() == expected


def test_missing_packages_name_both_install_lines() -> None:
    if importlib.util.find_spec("detectron2") and importlib.util.find_spec("densepose"):
        check_packages()
    else:
        with pytest.raises(MissingDependencyError, match=r"facebookresearch/detectron2' and .*--no-deps .*DensePose'"):
            check_packages()


def test_weights_are_loaded_strictly_but_for_computed_buffers() -> None:
    network = nn.Linear(3, 2)
    arrays = {"weight": torch.ones(2, 3), "bias": torch.ones(2)}
    load_weights(network, arrays | {"pixel_mean": torch.ones(3)}, Path("model.pkl"))
    assert (network.weight == 1).all()
    with pytest.raises(WeightsError, match="missing bias"):
        load_weights(network, {"weight": arrays["weight"]}, Path("model.pkl"))
    with pytest.raises(WeightsError, match="unexpected extra"):
        load_weights(network, arrays | {"extra": torch.ones(1)}, Path("model.pkl"))


class Boxes:
    """detectron2.structures.Boxes."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


class Instances:
    """detectron2.structures.Instances, as GeneralizedRCNN with a DensePose head returns them."""

    def __init__(self, scores: list[float], boxes: list[list[float]], parts: list[int]) -> None:
        self.scores = torch.tensor(scores)
        self.pred_boxes = Boxes(torch.tensor(boxes).reshape(-1, 4))
        stacked = [torch.cat(one) for one in zip(*(maps(part) for part in parts), strict=True)] if parts else []
        names = ("coarse_segm", "fine_segm", "u", "v")
        self.pred_densepose = SimpleNamespace(**dict(zip(names, stacked, strict=False)))

    def __len__(self) -> int:
        return len(self.scores)


class FakeNetwork(nn.Module):
    """GeneralizedRCNN's interface, from a list of inputs to a list of detections; reads the first (blue) channel."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        blocks = {101: 23, 50: 6}[depth]
        self.backbone = nn.ModuleDict(
            {"bottom_up": nn.ModuleDict({"res4": nn.ModuleList(nn.Linear(1, 1) for _ in range(blocks))})}
        )
        self.calls: list[list[tuple[int, ...]]] = []

    def forward(self, inputs: list[dict[str, Any]]) -> list[dict[str, Instances]]:
        self.calls.append([tuple(one["image"].shape) for one in inputs])
        found = []
        for one in inputs:
            assert one["image"].dtype == torch.float32
            blue = float(one["image"][0].mean())
            box = [1.0, 2.0, one["width"] - 3.0, one["height"] - 4.0]
            scores = [0.9, 0.7] if blue > 100 else [0.3, 0.2] if blue > 10 else []
            found.append({"instances": Instances(scores, [box, [0, 0, 5, 5]][: len(scores)], [7, 9][: len(scores)])})
        return found


@pytest.fixture
def detectron2(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Modules of detectron2 and DensePose with the names in use."""
    seen: dict[str, Any] = {}

    class Node(SimpleNamespace):
        def merge_from_list(self, items: list[Any]) -> None:
            seen["settings"] = dict(zip(items[::2], items[1::2], strict=True))

    class ResizeShortestEdge:
        def __init__(self, lengths: list[int], longest: int) -> None:
            seen["resize"] = (lengths, longest)

        def get_transform(self, image: np.ndarray) -> Any:
            return SimpleNamespace(apply_image=lambda given: given[::2, ::2])

    def build_model(_configuration: Node) -> FakeNetwork:
        seen["network"] = FakeNetwork(seen["settings"]["MODEL.RESNETS.DEPTH"])
        return seen["network"]

    given = {
        "detectron2": {},
        "detectron2.config": {"get_cfg": Node},
        "detectron2.modeling": {"build_model": build_model},
        "detectron2.data": {},
        "detectron2.data.transforms": {"ResizeShortestEdge": ResizeShortestEdge},
        "densepose": {"add_densepose_config": lambda configuration: seen.update(extended=configuration)},
    }
    for name, content in given.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return seen


def weights_file(path: Path, depth: int = 101) -> Path:
    """Numpy arrays in a pickle, as published, with a buffer that newer versions compute."""
    arrays = {name: value.numpy() for name, value in FakeNetwork(depth).state_dict().items()}
    path.write_bytes(pickle.dumps({"model": arrays | {"pixel_mean": np.zeros(3)}}))
    return path


@pytest.mark.parametrize("depth", [101, 50])
def test_the_network_is_built_as_its_weights_say(detectron2, tmp_path: Path, depth: int) -> None:
    load_pose_backend("detectron2", weights=weights_file(tmp_path / "model.pkl", depth))
    settings = detectron2["settings"]
    assert settings["MODEL.RESNETS.DEPTH"] == depth
    assert settings["MODEL.DEVICE"] == "cpu"
    assert settings["MODEL.ROI_DENSEPOSE_HEAD.NAME"] == "DensePoseDeepLabHead"
    assert not detectron2["network"].training
    assert "extended" in detectron2


def test_pictures_of_one_size_go_together_and_come_back_in_order(detectron2, tmp_path: Path) -> None:
    backend = load_pose_backend("detectron2", weights=weights_file(tmp_path / "model.pkl"))
    blue, dim, red = (np.zeros((40, 30, 3), np.uint8) for _ in range(3))
    blue[..., 2], dim[..., 2], red[..., 0] = 250, 50, 250
    wide = np.full((20, 60, 3), 250, np.uint8)
    found = backend.estimate([blue, wide, red, dim])
    assert detectron2["network"].calls == [[(3, 20, 15)] * 3, [(3, 10, 30)]]
    assert detectron2["resize"] == ([800, 800], 1333)
    assert [len(people) for people in found] == [2, 2, 0, 0]  # none, and none certain enough
    first, second = found[0]
    assert first.box == (1, 2, 27, 36)
    assert first.score == pytest.approx(0.9)
    assert set(np.unique(first.iuv[..., 0])) == {0, 7}
    assert (second.box, second.score) == ((0, 0, 5, 5), pytest.approx(0.7))  # each keeps its pixels where they overlap
    assert set(np.unique(second.iuv[..., 0])) == {0, 9}
    assert found[1][0].iuv.shape == (20, 60, 3)


def test_pulled_weights_are_found_and_missing_ones_name_the_command(
    detectron2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path / "home"))
    with pytest.raises(WeightsError, match="models pull densepose-r101"):
        load_pose_backend("detectron2")
    origin = UrlFile("https://example.org/model_final.pkl")
    file = PublishedFile("densepose_r50", origin, 0, "MIT", True, 1000)
    model = PublishedModel("densepose-r50", "test", "densepose", (file,))
    monkeypatch.setattr(published, "MODELS", (model,))
    monkeypatch.setattr(store, "MODELS", (model,))
    (tmp_path / "mine").mkdir()
    weights_file(tmp_path / "mine" / "model_final.pkl", 50)
    pull(PullOptions("densepose-r50", from_folder=tmp_path / "mine"), lambda _: True)
    load_pose_backend("detectron2")
    assert detectron2["settings"]["MODEL.RESNETS.DEPTH"] == 50


@pytest.mark.slow
def test_the_real_package_takes_our_settings(tmp_path: Path) -> None:
    """The real network with random weights, if detectron2 and its DensePose project are installed."""
    pytest.importorskip("densepose")
    from densepose import add_densepose_config
    from detectron2.config import get_cfg
    from detectron2.modeling import build_model

    configuration = get_cfg()
    add_densepose_config(configuration)
    settings = {**SETTINGS, "MODEL.RESNETS.DEPTH": 50, "MODEL.DEVICE": "cpu"}
    configuration.merge_from_list([item for pair in settings.items() for item in pair])
    arrays = {name: value.numpy() for name, value in build_model(configuration).state_dict().items()}
    (tmp_path / "model.pkl").write_bytes(pickle.dumps({"model": arrays}))
    backend = load_pose_backend("detectron2", weights=tmp_path / "model.pkl")
    (people,) = backend.estimate([np.full((120, 90, 3), 90, np.uint8)])
    assert all(one.iuv.shape == (120, 90, 3) for one in people)
