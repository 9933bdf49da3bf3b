"""`animate` with other backgrounds: the picture behind the person, and the kind of file."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mcld_anim.core.errors import InputError, UsageError
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RunOptions
from mcld_anim.run.animate import animate
from mcld_anim.run.cache import RunCache
from mcld_anim.run.result import Result

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, media: Path, small_models: LoadedModels) -> Run:
    """Runs four frames of the sample clip with changed options."""

    def run_with(name: str = "r.mp4", **change: Any) -> Result:
        given = {"source": media / "person.png", "driving": media / "dance.mp4", "output": tmp_path / name}
        (tmp_path / "cache").mkdir(exist_ok=True)
        cache = RunCache(tmp_path / "cache", load=lambda *_: small_models)
        return animate(RunOptions(**{**given, "max_frames": 4, "crf": 0, **change}), cache, on_event=lambda _: None)

    return run_with


def decode(path: Path) -> np.ndarray:
    """All frames of a video, int (F, H, W, 3) RGB."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]).astype(int)


def test_a_colour_fills_everything_but_the_person(run: Run) -> None:
    frames = decode(run(background="#00ff00").output)
    assert np.abs(frames[:, :3, :3] - [0, 255, 0]).max() < 12  # the corner
    plain = decode(run("plain.mp4").output)
    assert np.abs(frames[:, 24:40, 30:34] - plain[:, 24:40, 30:34]).mean() < 12  # the middle of the body


@pytest.mark.parametrize("background", ["source", "driving", "file"])
def test_other_backgrounds(run: Run, media: Path, background: str) -> None:
    chosen = str(media / "room.png") if background == "file" else background
    result = run(background=chosen)
    frames = decode(result.output)
    assert frames.shape == (4, 64, 64, 3)
    corner = frames[:, :6, :6].astype(float)
    assert np.abs(corner - corner[0]).max() <= 6  # nothing flickers there
    assert (
        corner.std((0, 1, 2)).max() < 1 or background == "file"
    )  # the walls of the renderings are plain, the room is striped
    if background == "file":
        assert str(media / "room.png") in json.loads(result.output.with_suffix(".run.json").read_text())["inputs"]


@pytest.mark.parametrize("framing", ["fixed", "track"])
def test_the_person_comes_back_to_its_place_in_the_driving_frame(run: Run, media: Path, framing: str) -> None:
    driving = decode(media / "dance.mp4")[:4]
    frames = decode(run(background="driving", paste_back=True, framing=framing).output)
    assert frames.shape == driving.shape
    assert np.abs(frames[:, :6] - driving[:, :6]).max() < 12  # nobody is up there: the driving video itself
    for frame, original in zip(frames, driving, strict=True):
        other, same = np.abs(frame - original).max(-1) > 40, np.abs(original - original[0, 0]).max(-1) > 40
        rows, columns = np.nonzero(other)
        there, along = np.nonzero(same)
        assert len(rows) > 0.2 * len(there)  # somebody else dances
        assert abs(rows.mean() - there.mean()) < 0.1 * len(frame)  # where the dancer was
        assert abs(columns.mean() - along.mean()) < 0.1 * len(frame)


@pytest.mark.parametrize("suffix", [".mov", ".zip"])
def test_transparent_results(run: Run, tmp_path: Path, suffix: str) -> None:
    result = run(f"r{suffix}", background="transparent")
    assert result.summary["frames"] == 4
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} >= {f"r{suffix}", "r.report.json", "r.run.json"}
    if suffix == ".zip":
        with zipfile.ZipFile(result.output) as archive:
            assert len(archive.namelist()) == 4
    else:
        with av.open(str(result.output)) as container:
            assert container.streams.video[0].codec_context.codec_tag == "ap4h"
            assert len(container.streams.audio) == 1


def test_frames_do_not_depend_on_the_batch_size(run: Run) -> None:
    one, three = (decode(run(f"b{size}.mp4", batch_size=size, background="#102030").output) for size in (1, 3))
    assert np.abs(one - three).max() <= 8


def test_what_cannot_be_is_refused(run: Run, media: Path) -> None:
    for change, words in (
        ({"background": "#12345"}, "--background #12345"),
        ({"background": ""}, "--background is empty"),
        ({"background": "transparent", "side_by_side": True}, "--side-by-side"),
        ({"paste_back": True}, "--paste-back .* needs --background driving"),
        ({"paste_back": True, "background": "driving", "side_by_side": True}, "leave one of them out"),
        ({"background": "transparent"}, r"does not end in \.mov or \.zip"),
    ):
        with pytest.raises(UsageError, match=words):
            run(**change)
    with pytest.raises(InputError, match="--background nowhere"):
        run(background="nowhere")
