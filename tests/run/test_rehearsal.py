"""What could fail at the end of a run is rehearsed before its first frame."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcld_anim.core.errors import InputError, VideoError
from mcld_anim.core.events import Event
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RunOptions
from mcld_anim.run.animate import animate
from mcld_anim.run.cache import RunCache
from mcld_anim.run.result import Result

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
