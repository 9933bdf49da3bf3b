"""A run that was cut off goes on, and its result is the one of an uninterrupted run, byte by byte."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pytest

from mcld_anim.core.errors import McldAnimError, OutputError, UnfinishedError, UsageError
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RunOptions
from mcld_anim.run.animate import animate
from mcld_anim.run.border import BEGINNING, Border
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import check_run
from mcld_anim.run.clip import Clip, open_clip
from mcld_anim.run.finished import finished_result
from mcld_anim.run.frame_log import FrameLog
from mcld_anim.run.frames import first_needed, make_frames
from mcld_anim.run.result import Result

Run = Callable[..., Result]
SHORT = {"batch_size": 2, "max_frames": 7, "steps": 2, "crf": 0}


@pytest.fixture
def run(tmp_path: Path, media: Path, small_models: LoadedModels) -> Run:
    """Runs the sample clip in batches of 2 into `tmp_path/NAME` with changed options; `run.told` has its events."""

    def run_with(name: str = "x.mp4", progress: Any = lambda *_: None, **change: Any) -> Result:
        given = {"source": media / "person.png", "driving": media / "dance.mp4", "densepose": "tiny", **SHORT}
        options = RunOptions(**{**given, "output": tmp_path / name, **change})
        run_with.told = []  # type: ignore[attr-defined]
        cache = RunCache(tmp_path / "cache", load=lambda *_: small_models)
        return animate(options, cache, progress, run_with.told.append)  # type: ignore[attr-defined]

    (tmp_path / "cache").mkdir()
    return run_with


def told(run: Run, kind: str) -> list[str]:
    events: list[Event] = run.told  # type: ignore[attr-defined]
    return [event.message for event in events if event.kind == kind]


def stop_at(batch: int, error: BaseException) -> Callable[..., None]:
    """A callback for `progress` that raises when this many batches of 2 frames are done."""

    def progress(stage: str, done: int, total: int | None) -> None:
        if stage == "frames" and done == 2 * batch:
            raise error

    return progress


def set_of(result: Result) -> dict[str, str]:
    """SHA-256 of the parts of a set that do not depend on when and how often it was begun."""
    page = result.files.report_html.read_text()
    page = re.sub(r"<details>.*</details>|<li>[^<]*(are kept|are not used)[^<]*</li>", "", page, flags=re.S)
    rows = json.loads(result.files.report_json.read_text())["frames"]
    video = result.output.read_bytes()
    if result.output.suffix == ".zip":  # whose directory has times
        with zipfile.ZipFile(result.output) as archive:
            video = b"".join(archive.read(name) for name in archive.namelist())
    parts = {
        "video": video,
        "table": result.files.report_csv.read_bytes(),
        "rows": json.dumps(rows).encode(),
        "page": page.replace(result.output.stem, "NAME").encode(),
    }
    return {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}


STATES = {
    "blending along the surface": {},
    "blending in place": {"blending": "neighbour", "noise": "mixed:1", "side_by_side": True, "framing": "track"},
    "a matte, and tries, which are counted": {"background": "source", "min_face_similarity": 0.999, "retries": 1},
    "the driving scene, pasted back": {"background": "driving", "paste_back": True},
    "another body, repaired": {"retarget": "limbs", "background": "#00ff00", "pose_cleanup": 1.0},
    "pictures": {"background": "transparent", "name": "zip"},
    "a video with opacity": {"background": "transparent", "name": "mov"},
}


@pytest.mark.parametrize("what", STATES)
def test_whatever_is_carried_over_frames_a_resumed_run_is_an_uninterrupted_one(run: Run, what: str) -> None:
    change = dict(STATES[what])
    suffix = change.pop("name", "mp4")
    whole = run(f"Whole-.{suffix}", **change)
    with pytest.raises(KeyboardInterrupt):
        run(f"Cut-.{suffix}", stop_at(2, KeyboardInterrupt()), **change)
    cut = run(f"Cut-.{suffix}", **change)
    assert json.loads(cut.files.run_json.read_text())["resumed_from_frame"] == 4
    assert "going on from frame 4: the first 4 of 7 frames are kept" in told(run, "resumed")[0]
    assert set_of(cut) == set_of(whole)
    without = [event for event in cut.summary["events"] if event["kind"] != "resumed"]
    assert {**cut.summary, "events": without} == whole.summary
    assert json.loads(whole.files.run_json.read_text())["resumed_from_frame"] is None


def test_a_background_video_goes_on_where_it_was(run: Run, media: Path) -> None:
    change = {"background": str(media / "room.mp4"), "blend": 0.0}  # which is shorter than the result
    whole = run("Whole-.mp4", **change)
    with pytest.raises(KeyboardInterrupt):
        run("Cut-.mp4", stop_at(3, KeyboardInterrupt()), **change)
    assert set_of(run("Cut-.mp4", **change)) == set_of(whole)


def test_ten_kills_at_random_moments_lose_a_batch_each_at_most(run: Run, tmp_path: Path) -> None:
    change = {"fps": 25.0, "max_frames": 26, "batch_size": 1, "steps": 1, "min_face_similarity": 0.5}
    whole, dice, durable, batch_time = run("Whole-.mp4", **change), random.Random(15), 0, 0.1
    for number in range(10):
        process, lines = report_frames(lambda report: run("Cut-.mp4", report, **change))
        began = int(lines.readline())
        assert began in (durable, durable + 1)  # all that was done before, and perhaps a batch that was not told
        durable = began
        for _ in range(dice.choice((0, 1, 1, 2))):
            asked = time.monotonic()
            durable, batch_time = int(lines.readline()), time.monotonic() - asked
        time.sleep(dice.random() * batch_time)
        os.kill(process, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(process, 0)[1]), f"the clip is too short for ten kills: {number}"
        with lines:
            durable = int((lines.read().split() or [durable])[-1])
        assert not (tmp_path / "Cut-.mp4").exists()
    assert durable > 5
    cut = run("Cut-.mp4", **change)
    assert json.loads(cut.files.run_json.read_text())["resumed_from_frame"] >= durable
    assert set_of(cut) == set_of(whole)
    assert not list(tmp_path.glob(".*"))


def report_frames(work: Callable[[Callable[..., None]], object]) -> tuple[int, TextIO]:
    """Start `work` in a process of its own; returns it, and its lines with the frames that are done."""
    reader, writer = os.pipe()
    process = os.fork()
    if process:
        os.close(writer)
        return process, os.fdopen(reader)

    def report(stage: str, done: int, total: int | None) -> None:
        if stage == "frames":
            os.write(writer, f"{done}\n".encode())

    try:
        work(report)
    finally:
        os._exit(0)


def interrupted(run: Run, **change: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        run("X-.mp4", stop_at(2, KeyboardInterrupt()), **change)
    assert told(run, "frames_kept") == [
        "4 of 7 frames are kept: the same command again goes on there, with --no-resume it starts anew"
    ]


def test_what_differs_is_named_and_nothing_of_it_is_used(run: Run, media: Path) -> None:
    interrupted(run)
    whole = run("Whole-.mp4", seed=3, source=media / "other.png")
    other = run("X-.mp4", seed=3, source=media / "other.png")
    (why,) = told(run, "started_anew")
    assert re.search(r"seed was 0 and is 3; source was \w{8}… and is \w{8}…$", why)
    assert set_of(other) == set_of(whole)


def test_no_resume_starts_anew_without_a_word(run: Run) -> None:
    interrupted(run)
    result = run("X-.mp4", resume=False)
    assert json.loads(result.files.run_json.read_text())["resumed_from_frame"] is None
    assert not told(run, "resumed") + told(run, "started_anew")


def test_what_is_not_in_the_frames_may_change(run: Run, tmp_path: Path, media: Path) -> None:
    interrupted(run)
    (tmp_path / "renamed.png").write_bytes((media / "person.png").read_bytes())
    result = run("X-.mp4", audio="none", crf=30, source=tmp_path / "renamed.png", overwrite=True)
    assert json.loads(result.files.run_json.read_text())["resumed_from_frame"] == 4


@pytest.mark.parametrize("damage", ["a torn record", "a torn border", "both borders", "a wrong byte"])
def test_what_was_cut_short_is_as_if_it_had_not_been_begun(run: Run, tmp_path: Path, damage: str) -> None:
    whole = run("Whole-.mp4")
    interrupted(run)
    kept = tmp_path / ".X-.mcld-anim" / "kept"
    log, borders = kept / "frames.log", sorted(kept.glob("border.*"))
    size = log.stat().st_size
    if damage == "a torn record":
        log.write_bytes(log.read_bytes() + log.read_bytes()[: size // 3])
    elif damage == "a wrong byte":
        content = bytearray(log.read_bytes())
        content[size // 4] ^= 1
        log.write_bytes(content)
    for border in borders[1:] if damage == "a torn border" else borders if damage == "both borders" else []:
        border.write_bytes(border.read_bytes()[:-1])
    result = run("X-.mp4")
    begun = {"a torn record": 4, "a torn border": 2, "both borders": None, "a wrong byte": None}
    assert json.loads(result.files.run_json.read_text())["resumed_from_frame"] == begun[damage]
    assert len(told(run, "started_anew")) == (damage == "a wrong byte")
    assert set_of(result) == set_of(whole)


def test_until_a_batch_is_finished_kept_frames_stay_as_they_were(run: Run, tmp_path: Path) -> None:
    log = FrameLog(tmp_path / "kept", {"steps": "2"})
    log.close()
    assert not (tmp_path / "kept").exists()  # a signal right here leaves nothing behind
    interrupted(run)
    with pytest.raises(KeyboardInterrupt):
        run("X-.mp4", stop_at(0, KeyboardInterrupt()), steps=3)
    assert told(run, "started_anew")
    assert json.loads(run("X-.mp4").files.run_json.read_text())["resumed_from_frame"] == 4


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OutputError("it could not be encoded")])
def test_a_failed_run_says_how_to_go_on_in_one_line(run: Run, tmp_path: Path, error: Exception) -> None:
    with pytest.raises(UnfinishedError) as caught:
        run("new/X-.mp4", stop_at(2, error))
    assert str(caught.value).startswith(str(getattr(error, "strerror", None) or error))
    assert str(caught.value).endswith("; " + "4 of 7 frames are kept: the same command again goes on there, with "
                                      "--no-resume it starts anew")  # fmt: skip
    assert caught.value.exit_code == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == [".X-.mcld-anim"]
    assert run("new/X-.mp4").summary["frames"] == 7


def test_the_output_folder_is_removed_in_the_middle(run: Run, tmp_path: Path) -> None:
    def remove(stage: str, done: int, total: int | None) -> None:
        if stage == "frames" and done == 4:
            (tmp_path / "new").rename(tmp_path / "elsewhere")

    with pytest.raises(McldAnimError, match="was removed while the run was working: run it again"):
        run("new/X-.mp4", remove)
    assert not (tmp_path / "new").exists()


def test_a_frame_of_nan_is_named_and_never_encoded(run: Run, tmp_path: Path, small_models: LoadedModels) -> None:
    calls = []

    def spoil(_module: object, _inputs: object, made: Any) -> Any:
        calls.append(1)
        if len(calls) == 3 * 2:  # the last step of the third batch
            made[1][1, 0, 0, 0] = float("nan")
        return made

    small_models.mcld.denoiser.register_forward_hook(spoil)
    with pytest.raises(UnfinishedError, match=r"NaN or infinity of frame 5 \(dtype float32\).*4 of 7 frames are kept"):
        run("X-.mp4", blend=0.0)
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == [".X-.mcld-anim"]


@pytest.fixture
def open_sample(media: Path, tmp_path: Path, small_models: LoadedModels) -> Iterator[Callable[..., Clip]]:
    """Opens the sample clip with changed options."""
    cache = RunCache(tmp_path, load=lambda *_: small_models)

    def open_with(**change: Any) -> Clip:
        given = {"source": media / "person.png", "driving": media / "dance.mp4", "densepose": "tiny", **SHORT}
        return open_clip(check_run(RunOptions(**{**given, **change})), cache, Stages(on_event=lambda event: None))

    yield open_with
    cache.close()


def test_ranges_that_meet_at_borders_are_one_clip(open_sample: Callable[..., Clip], tmp_path: Path) -> None:
    clip = open_sample(background="source", min_face_similarity=0.999, retries=1)
    whole = list(make_frames(clip, tmp_path))
    parts, border = [], BEGINNING
    for end in (2, 6, 7):
        borders: list[Border] = []
        parts += make_frames(clip, tmp_path, border, end, on_border=lambda make, to=borders: to.append(make()))
        border = Border.from_bytes(borders[-1].to_bytes())
        assert border.index == end
    assert len(parts) == 7
    for one, other in zip(whole, parts, strict=True):
        assert np.array_equal(one.picture, other.picture)
        assert one.row == other.row


@pytest.mark.parametrize("blending", ["surface", "neighbour"])
def test_overlapped_stages_make_the_same_frames_and_borders(
    open_sample: Callable[..., Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blending: str
) -> None:
    """As on an accelerator: a batch is synthesised while the one before is finished."""
    monkeypatch.setattr(Clip, "synthesises_ahead", True)
    clip = open_sample(background="source", blending=blending)
    borders: dict[bool, list[bytes]] = {False: [], True: []}
    one, other = (
        list(
            make_frames(
                clip, tmp_path, on_border=lambda make, to=borders[way]: to.append(make().to_bytes()), overlapped=way
            )
        )
        for way in (False, True)
    )
    assert len(one) == 7
    assert all(np.array_equal(a.picture, b.picture) and a.row == b.row for a, b in zip(one, other, strict=True))
    assert borders[False] == borders[True]
    assert 0 < (clip.stages.synthesis_share or 0) <= 1


def test_what_stops_synthesis_ahead_stops_the_run(
    run: Run, tmp_path: Path, small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Clip, "synthesises_ahead", True)
    calls = []

    def fail(*_: object) -> None:
        calls.append(1)
        if len(calls) == 3 * 2:  # the last step of the third batch
            raise UsageError("enough")

    small_models.mcld.denoiser.register_forward_hook(fail)
    with pytest.raises(UnfinishedError, match="enough; 4 of 7 frames are kept"):
        run("X-.mp4")
    assert "mcld-anim ahead" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize("blend", [0.0, 0.5])
def test_without_a_border_the_frames_before_are_made_again(
    open_sample: Callable[..., Clip], tmp_path: Path, blend: float
) -> None:
    clip = open_sample(blend=blend)
    first = first_needed(clip, 4)
    assert first == (2 if blend == 0 else 0)
    whole = list(make_frames(clip, tmp_path))[4:]
    again = [frame for frame in make_frames(clip, tmp_path, Border(first)) if frame.row.index >= 4]
    assert all(np.array_equal(one.picture, other.picture) for one, other in zip(whole, again, strict=True))
    assert [one.row for one in whole] == [one.row for one in again]


def test_a_run_killed_while_it_publishes_is_finished_by_the_same_command(
    run: Run, tmp_path: Path, small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, moved = os.replace, []

    def die(source: Any, target: Any) -> None:
        if Path(target).parent == tmp_path:
            moved.append(target)
        if len(moved) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        real(source, target)

    process = os.fork()
    if not process:
        monkeypatch.setattr(os, "replace", die)
        try:
            run("X-.mp4")
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.waitpid(process, 0)[1])
    assert not (tmp_path / "X-.mp4").exists()
    assert (tmp_path / "X-.report.csv").exists()
    steps = []
    small_models.mcld.denoiser.register_forward_hook(lambda *_: steps.append(1))
    result = run("X-.mp4")
    assert not steps
    assert told(run, "published")
    assert result.summary["frames"] == 7
    assert set_of(result) == set_of(run("Whole-.mp4"))
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(OutputError, match="exists already"):  # nothing is unfinished now
        run("X-.mp4")


def test_a_finished_result_is_known_by_what_was_asked_for(run: Run, tmp_path: Path, media: Path) -> None:
    result = run("X-.mp4")
    asked = {"source": media / "person.png", "driving": media / "dance.mp4", "densepose": "tiny", **SHORT}
    options = RunOptions(**asked, output=tmp_path / "X-.mp4")
    checksums = RunCache(tmp_path).checksums
    found = finished_result(options, checksums)
    assert found is not None
    assert found.summary == result.summary
    assert finished_result(RunOptions(**{**asked, "crf": 1}, output=tmp_path / "X-.mp4"), checksums) is None
    result.files.report_html.unlink()
    assert finished_result(options, checksums) is None
