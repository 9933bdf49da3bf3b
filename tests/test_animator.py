"""The public API: three lines do what the command does, arrays work like files, and nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

import mcld_anim
from mcld_anim import Animator, Event, InputError, UsageError
from mcld_anim.model.load import LoadedModels
from mcld_anim.synthetic.person import Rendering

SHORT = {"steps": 1, "guidance": 1.0}


@pytest.fixture
def loads() -> list[str]:
    """The loaded models."""
    return []


@pytest.fixture
def animator(
    small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, loads: list[str]
) -> Iterator[Animator]:
    """An animator with small random networks, in a folder of its own."""

    def load(model: str, *_: object) -> LoadedModels:
        loads.append(model)
        return small_models

    monkeypatch.setattr("mcld_anim.run.cache.load_models", load)
    monkeypatch.chdir(tmp_path)
    with Animator.load("tiny") as animator:
        yield animator


def decode(path: Path) -> np.ndarray:
    """All frames of a video, (F, H, W, 3) uint8 RGB."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_every_public_name_is_there_and_nothing_is_loaded_early() -> None:
    for name in mcld_anim.__all__:
        assert getattr(mcld_anim, name) is not None
    assert set(mcld_anim._ORIGINS) | {"__version__"} == set(mcld_anim.__all__) == set(dir(mcld_anim))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mcld_anim.nothing
    code = "import sys, mcld_anim; sys.exit(bool({'torch', 'numpy', 'av', 'cv2', 'typer'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_animate_writes_the_video_and_its_report(animator: Animator, media: Path, loads: list[str]) -> None:
    result = animator.animate(str(media / "person.png"), str(media / "dance.mp4"), output="a/out.mp4", **SHORT)
    assert result.output == Path("a/out.mp4")
    assert sorted(path.name for path in Path("a").iterdir()) == sorted(path.name for path in result.files.all)
    assert result.summary["frames"] == len(decode(result.output)) == 11
    again = animator.animate(media / "person.png", media / "dance.mp4", max_frames=3, **SHORT)
    assert again.output == Path("person_dance.mp4")
    assert again.summary["frames"] == 3
    assert loads == ["tiny"]  # models were loaded once


def test_source_and_poses_used_before_are_used_again(
    animator: Animator, media: Path, small_models: LoadedModels
) -> None:
    backend = small_models.pose_backend
    for output in ("one.mp4", "two.mp4"):
        animator.animate(media / "person.png", media / "dance.mp4", output=output, **SHORT)
        estimated = backend.pictures  # type: ignore[attr-defined]
        assert estimated == 12  # the photo and 11 frames, once


def test_frames_are_the_videos_and_no_file_is_written(animator: Animator, media: Path, tmp_path: Path) -> None:
    inputs = media / "person.png", media / "dance.mp4"
    frames = list(animator.frames(*inputs, background="transparent", **SHORT))
    assert list(tmp_path.iterdir()) == []
    assert [frame.row.index for frame in frames] == list(range(11))
    assert all(frame.picture.shape == (64, 64, 4) and frame.picture.dtype == np.uint8 for frame in frames)
    assert frames[1].row.stability is not None
    made = animator.animate(*inputs, background="transparent", output="o.zip", **SHORT).output
    with zipfile.ZipFile(made) as archive:
        stored = [np.asarray(Image.open(archive.open(name))) for name in sorted(archive.namelist())]
    assert all(np.array_equal(one, frame.picture) for one, frame in zip(stored, frames, strict=True))
    beside = next(animator.frames(*inputs, side_by_side=True, **SHORT))
    assert beside.picture.shape == (64, 192, 3)


def test_frames_can_be_stopped_early(animator: Animator, media: Path, small_models: LoadedModels) -> None:
    batches: list[int] = []
    small_models.mcld.pose_guider.register_forward_hook(lambda *_: batches.append(1))
    frames = animator.frames(media / "person.png", media / "dance.mp4", batch_size=2, retarget="limbs", **SHORT)
    assert len(list(islice(frames, 3))) == 3
    frames.close()  # type: ignore[attr-defined]
    assert len(batches) == 2  # nothing was synthesised ahead
    assert not any("frames-" in path.name for path in animator._cache.folder.iterdir())


def test_an_exception_in_a_callback_cancels(animator: Animator, media: Path, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(stage: str, done: int, total: int | None) -> None:
        if (stage, done) == ("frames", 4):
            raise Stop

    with pytest.raises(Stop):
        animator.animate(media / "person.png", media / "dance.mp4", output="new/out.mp4", progress=stop, **SHORT)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [".out.mcld-anim"]  # 4 frames to go on from


def test_frames_are_shown_while_files_are_written(animator: Animator, media: Path, tmp_path: Path) -> None:
    shown = []

    def show(frame: Any) -> None:
        assert not (tmp_path / "out.mp4").exists()
        shown.append((frame.row.index, frame.picture))

    animator.animate(media / "person.png", media / "dance.mp4", output="out.mp4", on_frame=show, **SHORT)
    assert [index for index, _ in shown] == list(range(len(shown)))
    made = [frame.picture for frame in animator.frames(media / "person.png", media / "dance.mp4", **SHORT)]
    assert np.array_equal([picture for _, picture in shown], made)


def test_transfer_gives_a_picture_and_writes_where_asked(animator: Animator, media: Path, tmp_path: Path) -> None:
    picture = animator.transfer(media / "person.png", media / "other.png", **SHORT)
    assert (picture.shape, picture.dtype) == ((64, 64, 3), np.uint8)
    assert list(tmp_path.iterdir()) == []
    written = animator.transfer(media / "person.png", media / "other.png", output="p.png", **SHORT)
    assert np.array_equal(np.asarray(Image.open("p.png")), picture)
    assert np.array_equal(written, picture)


def test_arrays_do_as_well_as_files(animator: Animator, media: Path, photo: Rendering, dance: list[Rendering]) -> None:
    files = animator.transfer(media / "person.png", media / "other.png", **SHORT)
    arrays = (np.asarray(Image.open(media / name).convert("RGB")) for name in ("person.png", "other.png"))
    assert np.array_equal(animator.transfer(*arrays, **SHORT), files)
    pictures = decode(media / "dance.mp4")
    from_file = animator.animate(media / "person.png", media / "dance.mp4", crf=0, output="f.mp4", **SHORT)
    given = iter(pictures)  # taken once, one at a time
    from_frames = animator.animate(photo.picture, given, fps=10, crf=0, output="a.mp4", **SHORT)
    assert np.array_equal(decode(from_frames.output), decode(from_file.output))
    odd = [one.picture[:127, :125] for one in dance[:3]]
    assert len(list(animator.frames(photo.picture, odd, fps=12.5, **SHORT))) == 3


def test_a_cancelled_work_on_arrays_goes_on(animator: Animator, photo: Rendering, dance: list[Rendering]) -> None:
    pictures = [one.picture for one in dance[:6]]

    def cancel(stage: str, done: int, _total: int | None) -> None:
        if (stage, done) == ("frames", 4):
            raise KeyboardInterrupt

    given = {"fps": 10, "batch_size": 2, "output": "a.mp4", **SHORT}
    with pytest.raises(KeyboardInterrupt):
        animator.animate(photo.picture, iter(pictures), progress=cancel, on_event=lambda event: None, **given)
    told: list[Event] = []
    animator.animate(photo.picture, iter(pictures), on_event=told.append, **given)
    assert [event.message for event in told if event.kind in ("resumed", "started_anew")] == [
        "a.mp4: going on from frame 4: the first 4 of 6 frames are kept of an earlier run"
    ]


@pytest.mark.parametrize(
    ("source", "driving", "options", "words"),
    [
        ("person.png", "dance.mp4", {"stepz": 3}, "Animator.frames: unknown key stepz"),
        ("person.png", "dance.mp4", {"blend": 2.0}, "--blend 2"),
        ("person.png", "dance.mp4", {"steps": "ten"}, "steps: got 'ten', expected int"),
        (np.zeros((64, 64), np.uint8), "dance.mp4", {}, "source is uint8 (64, 64)"),
        (np.zeros((64, 64, 3)), "dance.mp4", {}, "source is float64 (64, 64, 3)"),
        ("person.png", [np.zeros((64, 64, 3), np.uint8)], {}, "need their rate"),
        ("person.png", [], {"fps": 10}, "has no frames"),
        (
            "person.png",
            [np.zeros((64, 64, 3), np.uint8), np.zeros((32, 64, 3), np.uint8)],
            {"fps": 10},
            "frame 1 has shape",
        ),
    ],
)
def test_what_is_wrong_is_said_at_once(
    animator: Animator, media: Path, source: object, driving: object, options: dict[str, object], words: str
) -> None:
    given = [media / value if isinstance(value, str) else value for value in (source, driving)]
    with pytest.raises(UsageError) as caught:
        animator.frames(*given, **options)  # type: ignore[arg-type]
    assert words in str(caught.value)


def test_bad_inputs_are_errors_of_the_tree_before_any_work(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_: pytest.fail("models were loaded"))
    with pytest.raises(InputError, match="does not exist"):
        Animator().frames(media / "person.png", media / "none.mp4")


def test_events_are_passed_on_and_defaults_are_those_of_loading(
    animator: Animator, media: Path, loads: list[str]
) -> None:
    events: list[Event] = []
    stages: set[str] = set()
    frames = animator.frames(
        media / "person.png",
        media / "dance.mp4",
        face="none",
        retarget="limbs",
        on_event=events.append,
        progress=lambda stage, done, total: stages.add(stage),
        **SHORT,
    )
    assert len(list(frames)) == 11
    assert "retargeted" in [event.kind for event in events]
    assert stages == {"source", "driving poses", "frames"}
    assert loads == ["tiny", "tiny"]  # the second for another face backend, the model as it was loaded with
