"""A driving video of nobody is refused by `--densepose body` before a model is loaded or the source encoded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from mcld_anim.core.errors import PoseError
from mcld_anim.core.stages import Stages
from mcld_anim.options.run import RunOptions
from mcld_anim.pose.iuv_file import write_iuv_sequence
from mcld_anim.run.animate import animate
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import check_run


@pytest.fixture
def cache(blazepose_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Loads no model; BlazePose's networks are pulled."""
    monkeypatch.setenv("MCLD_ANIM_HOME", str(blazepose_home))
    (tmp_path / "work").mkdir()
    with closing(RunCache(tmp_path / "work", load=lambda *_: pytest.fail("models were loaded"))) as made:
        yield made


def test_a_video_of_nobody_is_refused_before_anything_is_loaded(cache: RunCache, media: Path, tmp_path: Path) -> None:
    options = RunOptions(source=media / "person.png", driving=media / "room.mp4", output=tmp_path / "out" / "x.mp4")
    with pytest.raises(PoseError, match=r"any of 5 frames of .*room\.mp4 \(densepose: body\): use a video that shows"):
        animate(options, cache, on_event=lambda event: None)
    assert not (tmp_path / "out").exists()


def test_a_video_of_somebody_passes_at_its_first_frame(
    cache: RunCache, media: Path, tmp_path: Path, clip_writer: Callable[..., None]
) -> None:
    clip_writer(tmp_path / "portrait.mp4", [data.astronaut()] * 3)
    told: list[tuple[str, int]] = []
    stages = Stages(lambda stage, done, total: told.append((stage, done)), on_event=lambda event: None)
    plan = check_run(RunOptions(source=media / "person.png", driving=tmp_path / "portrait.mp4"))
    cache.check_driving(plan, stages)
    assert told == []
    assert "first look" in stages.seconds


def test_other_estimators_and_given_poses_need_no_look(
    cache: RunCache, media: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mcld_anim.run.cache.check_shows_person", lambda *_: pytest.fail("looked"))
    write_iuv_sequence(tmp_path / "poses.zip", [np.zeros((64, 64, 3), np.uint8)])
    for densepose in ("tiny", str(tmp_path / "poses.zip")):
        options = RunOptions(source=media / "person.png", driving=media / "room.mp4", densepose=densepose)
        cache.check_driving(check_run(options), Stages(on_event=lambda event: None))


def test_the_diffusion_model_is_not_imported_before_the_look() -> None:
    code = "import sys, mcld_anim.animator; print({'diffusers', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
