"""Work is never thrown away at the end: it is rehearsed before the first frame, and frames that were made are kept."""

from __future__ import annotations

import errno
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mcld_anim.core.errors import InputError, OutputError, UnfinishedError, VideoError
from mcld_anim.core.events import Event
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RunOptions
from mcld_anim.run.animate import animate
from mcld_anim.run.cache import RunCache
from mcld_anim.run.result import Result
from mcld_anim.video.write import VideoWriter

Run = Callable[..., Result]
FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def run(tmp_path: Path, media: Path, small_models: LoadedModels) -> Run:
    """Runs the sample clip into `tmp_path/new` with changed options."""

    def run_with(**change: Any) -> Result:
        given = {"source": media / "person.png", "driving": media / "dance.mp4", "densepose": "tiny"}
        cache = RunCache(tmp_path, load=lambda *_: small_models)
        told = change.pop("on_event", lambda event: None)
        return animate(RunOptions(**{**given, "output": tmp_path / "new" / "x.mp4", **change}), cache, on_event=told)

    return run_with


@pytest.fixture
def steps(small_models: LoadedModels) -> list[int]:
    """An entry for each call of the denoiser."""
    calls: list[int] = []
    small_models.mcld.denoiser.register_forward_hook(lambda *_: calls.append(1))
    return calls


def fail(monkeypatch: pytest.MonkeyPatch, what: str, error: Exception, after: int) -> None:
    """Let a function raise an error from its call number `after` on."""
    place, name = what.rsplit(".", 1)
    module = __import__(place, fromlist=[name])
    real, calls = getattr(module, name), []

    def failing(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) > after:
            raise error
        return real(*given, **named)

    monkeypatch.setattr(module, name, failing)


def frames_of(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


LATE = ["video.write.join", "run.files.write_json", "run.files.write_page", "run.files.publish"]


@pytest.mark.parametrize("what", LATE)
def test_what_fails_at_the_end_is_tried_before_the_first_frame(
    run: Run, tmp_path: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    fail(monkeypatch, f"mcld_anim.{what}", FULL, after=0)
    with pytest.raises((OSError, InputError), match="No space left"):
        run()
    assert steps == []
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("what", "words", "sound"),
    [
        ("video.write.join", "without sound", 0),
        ("run.files.write_page", "with their sound", 1),
        ("run.animate.publish", "with their sound", 1),
    ],
)
def test_frames_are_kept_if_the_end_fails_nevertheless(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, words: str, sound: int
) -> None:
    fail(monkeypatch, f"mcld_anim.{what}", FULL, after=0 if what == "run.animate.publish" else 1)
    with pytest.raises(UnfinishedError, match="No space left") as caught:
        run()
    (kept,) = (tmp_path / "new").iterdir()
    assert kept.name == "x.kept.mp4"
    assert f"all 11 frames are kept in {kept}, {words}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ".work" not in str(caught.value)
    assert caught.value.exit_code == 1
    assert frames_of(kept) == 11
    with av.open(str(kept)) as container:
        assert len(container.streams.audio) == sound


@pytest.mark.parametrize("name", ["x.mp4", "x.mov", "x.zip"])
def test_frames_made_until_a_failure_are_kept_and_the_rest_can_be_made(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    whole = run(output=tmp_path / "whole.mp4", crf=4)
    choice = {} if name == "x.mp4" else {"background": "transparent"}
    writer = "write_alpha.PngSequenceWriter" if name == "x.zip" else "write.VideoWriter"
    real = getattr(__import__(f"mcld_anim.video.{writer.split('.')[0]}", fromlist=["x"]), writer.split(".")[1])
    written, per_frame = [], 2 if name == "x.mov" else 1  # a preview too
    write = real.write

    def full(self: VideoWriter, picture: np.ndarray) -> None:
        written.append(1)
        if len(written) > per_frame * (1 + 5):  # the rehearsal's, and five
            raise OutputError("output could not be encoded (No space left on device); check the free space there")
        write(self, picture)

    with monkeypatch.context() as patch:
        patch.setattr(real, "write", full)
        with pytest.raises(UnfinishedError, match=r"--start 0\.500$") as caught:
            run(output=tmp_path / "new" / name, crf=4, **choice)
    (kept,) = (tmp_path / "new").iterdir()
    assert f"5 of 11 frames are kept in {kept}" in str(caught.value)
    if name == "x.zip":
        with zipfile.ZipFile(kept) as archive:
            assert archive.namelist() == [f"{index:06d}.png" for index in range(5)]
        return
    assert frames_of(kept) == 5
    if name == "x.mp4":
        pictures = []
        for path in (kept, whole.output):
            with av.open(str(path)) as container:
                pictures.append([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][:5])
        assert np.abs(np.array(pictures[0], int) - pictures[1]).max() < 16  # the same frames, coded apart


def test_kept_frames_replace_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "x.kept.mp4").write_bytes(b"precious")
    fail(monkeypatch, "mcld_anim.run.files.write_page", FULL, after=1)
    with pytest.raises(UnfinishedError, match=r"x\.kept-2\.mp4"):
        run()
    assert (tmp_path / "new" / "x.kept.mp4").read_bytes() == b"precious"
    assert frames_of(tmp_path / "new" / "x.kept-2.mp4") == 11


def test_sound_that_cannot_be_written_is_refused_before_anything_else(
    run: Run, tmp_path: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("rising", "aac_frames"):
        fail(monkeypatch, f"mcld_anim.video.audio.{name}", ValueError("Invalid argument"), after=0)
    with pytest.raises(VideoError, match="leave it out with --audio none"):
        run()
    assert steps == []
    assert not (tmp_path / "new").exists()


def test_an_archive_has_no_sound_and_says_so(run: Run, tmp_path: Path) -> None:
    told: list[Event] = []
    run(output=tmp_path / "new" / "x.zip", background="transparent", on_event=told.append)
    assert "audio_dropped" in [event.kind for event in told]
    told.clear()
    run(output=tmp_path / "new" / "y.zip", background="transparent", audio="none", on_event=told.append)
    assert "audio_dropped" not in [event.kind for event in told]
