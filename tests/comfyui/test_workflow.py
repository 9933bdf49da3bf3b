"""The example workflow, run through the node classes as ComfyUI runs a graph: in the order of its links, with checked
types, fields filled as the page fills them, and its own nodes for files in their places."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from mcld_anim.cli.main import app
from mcld_anim.comfyui.nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS, Animate, SourceAppearance
from mcld_anim.core.errors import UsageError
from mcld_anim.model.load import LoadedModels
from mcld_anim.video.read import read_frames

FPS = 10.0


class Interrupted(Exception):
    """ComfyUI's InterruptProcessingException."""


class Comfy:
    """What ComfyUI's own modules are asked for by the nodes."""

    def __init__(self) -> None:
        self.bars: list[tuple[str | None, int]] = []  # node and total of each bar
        self.moves: list[tuple[int, int]] = []
        self.stop_after: int | None = None  # moves of bars until the user interrupts

    def check(self) -> None:
        if self.stop_after is not None and len(self.moves) >= self.stop_after:
            raise Interrupted


@pytest.fixture
def comfy(monkeypatch: pytest.MonkeyPatch) -> Comfy:
    """ComfyUI's modules as far as nodes know them."""
    state = Comfy()

    class ProgressBar:
        def __init__(self, total: int, node_id: str | None = None) -> None:
            state.bars.append((node_id, total))

        def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
            state.moves.append((value, total or 0))

    utils, management = ModuleType("comfy.utils"), ModuleType("comfy.model_management")
    utils.ProgressBar = ProgressBar  # type: ignore[attr-defined]
    management.throw_exception_if_processing_interrupted = state.check  # type: ignore[attr-defined]
    for name, module in (
        ("comfy", ModuleType("comfy")),
        ("comfy.utils", utils),
        ("comfy.model_management", management),
    ):
        monkeypatch.setitem(sys.modules, name, module)
    return state


@pytest.fixture
def workflow(tmp_path: Path) -> dict[str, Any]:
    """The example, as the installer writes it."""
    (tmp_path / "ComfyUI" / "custom_nodes").mkdir(parents=True)
    done = CliRunner().invoke(app, ["comfyui", "install", str(tmp_path / "ComfyUI")])
    assert done.exit_code == 0, done.output
    written = tmp_path / "ComfyUI" / "custom_nodes" / "mcld-anim"
    assert {path.name for path in written.iterdir()} == {"__init__.py", "pyproject.toml", "example_workflows"}
    return dict(json.loads((written / "example_workflows" / "animate.json").read_text()))


class Graph:
    """ComfyUI's execution of a workflow."""

    def __init__(self, workflow: dict[str, Any], own: dict[str, Any]) -> None:
        """`own`: outputs of ComfyUI's own nodes by type; None: a node that only shows."""
        self._nodes = {node["id"]: node for node in workflow["nodes"]}
        self._links = {link[0]: link for link in workflow["links"]}
        self._own = own
        self.outputs: dict[int, tuple[Any, ...]] = {}
        self.shown: dict[str, Any] = {}

    def run(self) -> None:
        """Every node after those that it takes from."""
        waiting = list(self._nodes)
        while waiting:
            ready = [one for one in waiting if all(origin in self.outputs for origin in self._origins(one))]
            assert ready, "the links go in a circle"
            for one in ready:
                self.outputs[one] = self._run(self._nodes[one])
                waiting.remove(one)

    def _origins(self, one: int) -> Iterator[int]:
        for slot in self._nodes[one]["inputs"]:
            if slot["link"] is not None:
                yield self._links[slot["link"]][1]

    def _run(self, node: dict[str, Any]) -> tuple[Any, ...]:
        if node["type"] not in NODE_CLASS_MAPPINGS:
            made = self._own[node["type"]]
            return made if made is not None else ()
        cls = NODE_CLASS_MAPPINGS[node["type"]]
        kinds = cls.INPUT_TYPES()
        declared = {**kinds["required"], **kinds.get("optional", {})}
        given = self._fields(node, kinds)
        for slot in node["inputs"]:
            if slot["link"] is not None:
                _, origin, place, _, _, kind = self._links[slot["link"]]
                assert declared[slot["name"]][0] == kind == slot["type"]
                given[slot["name"]] = self.outputs[origin][place]
        assert set(kinds["required"]) <= set(given) <= set(declared)
        hidden = {name: str(node["id"]) for name, kind in kinds.get("hidden", {}).items() if kind == "UNIQUE_ID"}
        made = getattr(cls(), cls.FUNCTION)(**given, **hidden)
        if isinstance(made, dict):
            assert cls.OUTPUT_NODE
            self.shown |= made["ui"]
            made = made["result"]
        assert len(made) == len(cls.RETURN_TYPES) == len(cls.RETURN_NAMES) == len(node["outputs"])
        for kind, value in zip(cls.RETURN_TYPES, made, strict=True):
            if kind == "IMAGE":
                assert value.dtype == torch.float32
                assert value.ndim == 4
                assert value.shape[-1] == 3
                assert 0 <= value.min() <= value.max() <= 1
        return tuple(made)

    def _fields(self, node: dict[str, Any], kinds: dict[str, Any]) -> dict[str, Any]:
        """The values of the fields, in the order of INPUT_TYPES; a seed is followed by what happens to it."""
        values, given = iter(node["widgets_values"]), dict[str, Any]()
        for name, (kind, *_) in [*kinds["required"].items(), *kinds.get("optional", {}).items()]:
            if not isinstance(kind, list) and kind not in ("INT", "FLOAT", "STRING", "BOOLEAN"):
                continue
            given[name] = next(values)
            assert not isinstance(kind, list) or given[name] in kind
            if name == "seed":
                assert next(values) in ("fixed", "increment", "decrement", "randomize")
        assert next(values, None) is None
        return given


def image(path: Path) -> torch.Tensor:
    """A picture as ComfyUI's Load Image gives it."""
    return torch.from_numpy(np.asarray(Image.open(path).convert("RGB"))).float()[None] / 255


@pytest.fixture
def own_nodes(media: Path) -> dict[str, Any]:
    """What ComfyUI's own nodes give in the example."""
    frames = np.stack([frame.picture for frame in read_frames(media / "dance.mp4")])
    images, fps = torch.from_numpy(frames).float() / 255, FPS
    shows = dict.fromkeys(("SaveVideo", "PreviewAny", "PreviewImage"))
    loaded = {"LoadImage": (image(media / "person.png"), None), "LoadVideo": ("a video",)}
    return {**shows, **loaded, "GetVideoComponents": (images, None, fps), "CreateVideo": ("a video",)}


@pytest.fixture
def small_graph(
    workflow: dict[str, Any], own_nodes: dict[str, Any], small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch
) -> Graph:
    """The example with networks that take no time."""
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_, **__: small_models)
    monkeypatch.setattr("mcld_anim.run.densepose.load_pose_backend", lambda *_: small_models.pose_backend)
    return Graph(workflow, own_nodes)


def node_id(workflow: dict[str, Any], kind: str) -> int:
    return int(next(node["id"] for node in workflow["nodes"] if node["type"] == kind))


def test_the_example_runs(small_graph: Graph, workflow: dict[str, Any], comfy: Comfy, media: Path) -> None:
    small_graph.run()
    frames, rows = small_graph.outputs[node_id(workflow, "McldAnimAnimate")]
    assert frames.shape == (11, 64, 64, 3)
    assert frames.std() > 0.05
    assert [row.index for row in rows] == list(range(11))
    assert rows[10].time == pytest.approx(1.0)  # at the video's rate, which the graph hands over
    poses = small_graph.outputs[node_id(workflow, "McldAnimDensePose")][1]
    assert len(poses) == 11
    assert poses.max() > 0.8
    text, mean = small_graph.outputs[node_id(workflow, "McldAnimFaceReport")]
    assert small_graph.shown["text"] == [text]
    assert text.startswith(f"face similarity {mean:.3f} in the mean of ")
    assert len(text.splitlines()) == 12
    animate = str(node_id(workflow, "McldAnimAnimate"))
    assert (animate, 11) in comfy.bars


def test_frames_are_those_of_the_library(small_graph: Graph, workflow: dict[str, Any], comfy: Comfy) -> None:
    from mcld_anim import Animator

    small_graph.run()
    made = small_graph.outputs[node_id(workflow, "McldAnimAnimate")][0]
    photo = (small_graph._own["LoadImage"][0][0] * 255).round().byte().numpy()
    driving = (small_graph._own["GetVideoComponents"][0] * 255).round().byte().numpy()
    with Animator() as animator:
        frames = animator.frames(photo, iter(driving), fps=FPS, on_event=lambda _: None)
        expected = np.stack([frame.picture for frame in frames])
    assert np.array_equal((made * 255).round().byte().numpy(), expected)


def test_poses_estimated_before_are_used(
    small_graph: Graph, workflow: dict[str, Any], comfy: Comfy, small_models: LoadedModels
) -> None:
    estimated, animated = node_id(workflow, "McldAnimDensePose"), node_id(workflow, "McldAnimAnimate")
    small_graph._links[100] = [100, estimated, 0, animated, 3, "MCLD_DENSEPOSE"]
    animate = small_graph._nodes[animated]
    next(slot for slot in animate["inputs"] if slot["name"] == "densepose")["link"] = 100
    small_graph.run()
    backend: Any = small_models.pose_backend
    assert backend.pictures == 11 + 1  # the driving frames once, and the photo
    assert len(small_graph.outputs[animate["id"]][0]) == 11


def test_an_interruption_is_honoured(small_graph: Graph, comfy: Comfy) -> None:
    comfy.stop_after = 20
    with pytest.raises(Interrupted):
        small_graph.run()
    assert len(comfy.moves) == 20


def test_is_changed_names_the_model_that_auto_stands_for() -> None:
    load = NODE_CLASS_MAPPINGS["McldAnimLoad"]
    given = {"densepose": "auto", "face": "auto", "dtype": "auto"}
    assert load.IS_CHANGED(model="auto", device="cpu", **given) == "tiny"
    assert load.IS_CHANGED(model="mcld-sd15", device="cpu", **given) == "mcld-sd15"


def test_fields_have_the_options_choices_and_ranges() -> None:
    fields = Animate.INPUT_TYPES()["required"]
    assert fields["preset"] == (["fast", "balanced", "best"], {"default": "balanced"})
    assert fields["steps"] == ("INT", {"default": 0, "min": 0, "max": 1000})
    assert fields["seed"][1]["max"] == 2**63 - 1
    assert set(NODE_CLASS_MAPPINGS) == set(NODE_DISPLAY_NAME_MAPPINGS)


def test_a_tensor_that_is_no_image_is_refused() -> None:
    with pytest.raises(UsageError, match=r"shape \(4, 4, 3\)"):
        SourceAppearance().take(torch.zeros(4, 4, 3))


def test_a_folder_that_is_no_comfyui_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["comfyui", "install", str(tmp_path)])
    assert done.exit_code == 2
    assert "holds no folder custom_nodes" in done.output
    assert list(tmp_path.iterdir()) == []
