"""Memory is bounded: a clip of six hundred frames takes what its first sixty take. And networks rest in main memory
where that is asked for, or where nothing else fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from mcld_anim import Animator, Event
from mcld_anim.core.errors import UsageError
from mcld_anim.core.stages import Stages
from mcld_anim.model.choose import ChosenModel
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.model import load_model_options
from mcld_anim.options.run import RunOptions
from mcld_anim.run.checks import check_run
from mcld_anim.run.memory import offloads, within_memory
from mcld_anim.sampling.settings import sampling_settings
from mcld_anim.synthetic.person import Rendering

FRAMES, FIRST = 600, 60
MOST_GROWTH = 1.05
GIVEN: dict[str, Any] = {"source": Path("photo.png"), "driving": Path("dance.mp4"), "model": "mcld-sd15"}


def test_memory_does_not_grow_with_the_clip(
    animator: Animator, media: Path, dance: list[Rendering], clip_writer: Callable[..., None], tmp_path: Path
) -> None:
    clip_writer(tmp_path / "long.mp4", list(islice(cycle([one.picture for one in dance]), FRAMES)))
    made = animator.frames(media / "person.png", tmp_path / "long.mp4", steps=1, guidance=1.0, batch_size=8)
    memory = [psutil.Process().memory_info().rss for _ in made]
    assert len(memory) == FRAMES
    assert max(memory) <= MOST_GROWTH * max(memory[:FIRST]), f"{max(memory[:FIRST])} bytes, then {max(memory)}"


@pytest.fixture
def on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a CUDA card and the published model."""
    published = ChosenModel("mcld-sd15", load_model_options("mcld_sd15"), Path("weights"), "insightface")
    monkeypatch.setattr("mcld_anim.core.device.choose_device", lambda name: torch.device("cuda"))
    monkeypatch.setattr("mcld_anim.core.device.choose_dtype", lambda name, device: torch.bfloat16)
    monkeypatch.setattr("mcld_anim.run.memory.find_model", lambda name: published)


@pytest.mark.usefixtures("on_cuda")
@pytest.mark.parametrize(
    ("more", "rest"),
    [({}, False), ({"offload": True}, True), ({"memory": "8GB"}, False), ({"memory": "4GB"}, True)],
)
def test_networks_rest_where_nothing_else_fits(more: dict[str, Any], rest: bool) -> None:
    assert offloads(RunOptions(**GIVEN, **more), Stages(on_event=pytest.fail)) is rest


@pytest.mark.usefixtures("on_cuda")
def test_what_does_not_fit_is_refused_before_models_are_loaded() -> None:
    with pytest.raises(UsageError, match="--memory 2GB is too little"):
        offloads(RunOptions(**GIVEN, memory="2GB"), Stages())


def test_the_plan_is_kept_and_told(small_models: LoadedModels, media: Path) -> None:
    options = load_model_options("mcld_sd15")
    models = dataclasses.replace(small_models, options=options, device=torch.device("cuda"), dtype=torch.bfloat16)
    told: list[Event] = []
    given = RunOptions(**GIVEN, memory="3GB")
    plan = check_run(dataclasses.replace(given, source=media / "person.png", driving=media / "dance.mp4", model="tiny"))
    settings = sampling_settings(given, options)
    changed, fitting = within_memory(plan, settings, models, Stages(on_event=told.append))
    assert (changed.options.batch_size, fitting.decoded) == (2, 2)
    assert [event.message for event in told] == [
        "--memory 3GB: batches of 2, decoded 2 at a time, with the networks that are not used in main memory (as "
        "--offload), take 2.9 GB by calculation"
    ]


def test_without_a_card_offload_has_no_effect_which_is_told(animator: Animator, media: Path) -> None:
    told: list[Event] = []
    given = {"steps": 1, "max_frames": 1, "device": "cpu", "offload": True, "on_event": told.append}
    assert len(list(animator.frames(media / "person.png", media / "dance.mp4", **given))) == 1
    assert "--offload without effect: on --device cpu networks are in main memory" in [e.message for e in told]
