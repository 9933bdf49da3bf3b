"""Results kept on disk: a later run makes no pose and encodes no source again, and its frames are the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcld_anim.core.disk_cache import DiskCache
from mcld_anim.core.errors import UsageError
from mcld_anim.core.events import Event
from mcld_anim.core.outputs import OutputFiles
from mcld_anim.core.stages import Stages
from mcld_anim.core.work_folder import Work
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RunOptions
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.pose.tflite import TfliteNetwork
from mcld_anim.run.animate import animate
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import check_run
from mcld_anim.run.clip import open_clip
from mcld_anim.run.frames import make_frames
from mcld_anim.run.kept import KeptResults, cache_folder, cache_limit, clear_kept, list_kept, open_kept

LIMIT = 10**9
SOURCE = ["source-photo", "source"]
CROPS, IN_PHOTO = [*SOURCE, "driving-poses"], [*SOURCE, "driving-motion", "source-stage"]


@dataclass
class Seen:
    """The frames of one run, as of a process of its own."""

    frames: list[np.ndarray]
    reused: list[str]
    events: list[Event] = field(default_factory=list)


@dataclass
class Runs:
    """Runs with one cache on disk; each is a new `RunCache`."""

    media: Path
    work: Path
    models: LoadedModels
    kept: Path

    def frames(self, kept: KeptResults | None = None, **change: Any) -> Seen:
        given = {"source": self.media / "person.png", "driving": self.media / "dance.mp4", "densepose": "tiny"}
        plan = check_run(RunOptions(**{**given, "steps": 1, "max_frames": 2, **change}))
        stages = Stages(on_event=lambda event: None)
        kept = kept or KeptResults(DiskCache(self.kept, LIMIT))
        with closing(RunCache(self.work, load=lambda *_: self.models, kept=kept)) as cache:
            cache.check_driving(plan, stages)
            clip = open_clip(plan, cache, stages)
            return Seen([frame.picture for frame in make_frames(clip, self.work)], stages.reused, stages.events)

    def forget_how(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From here on no pose is estimated, no source encoded, no landmark network called, no video looked at."""
        for module, name in (
            ("mcld_anim.run.source", "read_photo"),
            ("mcld_anim.run.source", "encode_photo"),
            ("mcld_anim.run.driving", "encode_driving"),
            ("mcld_anim.run.driving", "encode_motion"),
            ("mcld_anim.run.photo", "fit_photo"),
            ("mcld_anim.run.cache", "check_shows_person"),
        ):
            monkeypatch.setattr(f"{module}.{name}", lambda *_, name=name: pytest.fail(f"{name} was called"))
        monkeypatch.setattr(TfliteNetwork, "__call__", lambda *_: pytest.fail("a landmark network was called"))
        for network in (self.models.mcld.reference_net, self.models.mcld.image_encoder):
            network.register_forward_hook(lambda *_: pytest.fail("the source was encoded"))


@pytest.fixture
def runs(media: Path, small_models: LoadedModels, tmp_path: Path) -> Runs:
    return Runs(media, tmp_path, small_models, tmp_path / "kept")


def same(one: Seen, other: Seen) -> bool:
    return len(one.frames) == len(other.frames) and all(map(np.array_equal, one.frames, other.frames))


def test_a_second_run_makes_no_pose_and_encodes_no_source(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    first = runs.frames()
    runs.forget_how(monkeypatch)
    second = runs.frames()
    assert same(first, second)
    assert (first.reused, second.reused) == ([], CROPS)
    assert runs.frames(seed=5, batch_size=1, background="source", crf=30).reused == CROPS


def test_the_same_with_fitted_bodies(
    runs: Runs, body_backend: BodyBackend, blazepose_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(blazepose_home))
    runs.models = replace(runs.models, pose_backend=body_backend)
    first = runs.frames(densepose="body", max_frames=1)
    runs.forget_how(monkeypatch)
    second = runs.frames(densepose="body", max_frames=1)
    assert same(first, second)
    assert (first.reused, second.reused) == ([], IN_PHOTO)


def test_names_do_not_matter_and_events_are_told_again_with_the_new_ones(
    runs: Runs, tmp_path: Path, clip_writer: Callable[..., None], dance: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = [dance[0].picture, np.full_like(dance[0].picture, 128), dance[1].picture]
    clip_writer(tmp_path / "first.mp4", shown)
    shutil.copy(runs.media / "person.png", tmp_path / "she.png")
    first = runs.frames(driving=tmp_path / "first.mp4", max_frames=None)
    assert "person_missing" in {event.kind for event in first.events}
    (tmp_path / "first.mp4").rename(tmp_path / "second.mp4")
    runs.forget_how(monkeypatch)
    second = runs.frames(driving=tmp_path / "second.mp4", source=tmp_path / "she.png", max_frames=None)
    assert same(first, second)
    named = [(event.kind, event.message.replace("first.mp4", "second.mp4")) for event in first.events]
    assert [(event.kind, event.message) for event in second.events] == named


@pytest.mark.parametrize(
    ("change", "reused"),
    [
        ({"max_frames": 1}, SOURCE),
        ({"fps": 5.0}, SOURCE),
        ({"start": 0.1}, SOURCE),
        ({"person": 1}, SOURCE),
        ({"driving": "other.mp4"}, SOURCE),
        ({"source": "other.png"}, ["driving-poses"]),
        ({}, CROPS),
    ],
)
def test_what_matters_is_made_again(
    runs: Runs,
    tmp_path: Path,
    clip_writer: Callable[..., None],
    dance: list[Any],
    change: dict[str, Any],
    reused: list[str],
) -> None:
    clip_writer(tmp_path / "other.mp4", [one.picture for one in dance[2:5]])
    shutil.copy(runs.media / "other.png", tmp_path)
    runs.frames()
    paths = {name: tmp_path / change[name] for name in ("driving", "source") if name in change}
    assert runs.frames(**{**change, **paths}).reused == reused


def test_other_weights_and_versions_are_made_again(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.frames()
    runs.models = replace(runs.models, weights={"random": "1" * 64})
    assert runs.frames().reused == ["source-photo", "driving-poses"]
    monkeypatch.setattr("mcld_anim.run.kept._versions", lambda: {"mcld-anim": "2"})
    assert runs.frames().reused == []


@pytest.mark.parametrize("damage", ["bit", "truncated", "gone"])
def test_damage_is_told_and_the_result_is_made_again(runs: Runs, damage: str) -> None:
    first = runs.frames()
    damaged = [path for path in runs.kept.rglob("*") if path.is_file() and path.parent != runs.kept]
    assert {path.name for path in damaged} == {"entry.json", "content.safetensors", "iuv.zip"}
    for path in damaged:
        if path.name == "entry.json" and damage != "bit":
            continue
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.unlink()  # the archive has a second name meanwhile
        if damage != "gone":
            path.write_bytes(content if damage == "bit" else content[:-9])
    second = runs.frames()
    assert same(first, second)
    assert second.reused == []
    told = [event.message for event in second.events if event.kind == "cache_damaged"]
    assert [message.partition(" is damaged")[0].rpartition("/")[2] for message in told] == ["person.png"] * 2 + [
        "dance.mp4"
    ]
    third = runs.frames()
    assert same(first, third)
    assert (third.reused, [event.kind for event in third.events if event.kind.startswith("cache")]) == (CROPS, [])


def test_a_run_goes_on_while_its_results_are_removed(runs: Runs) -> None:
    first = runs.frames()
    plan = check_run(
        RunOptions(
            source=runs.media / "person.png",
            driving=runs.media / "dance.mp4",
            densepose="tiny",
            steps=1,
            max_frames=2,
        )
    )
    stages, kept = Stages(on_event=lambda event: None), KeptResults(DiskCache(runs.kept, LIMIT))
    with closing(RunCache(runs.work, load=lambda *_: runs.models, kept=kept)) as cache:
        clip = open_clip(plan, cache, stages)
        assert stages.reused == CROPS
        assert DiskCache(runs.kept, 0).clear() > 0
        frames = [frame.picture for frame in make_frames(clip, runs.work)]
    assert same(first, Seen(frames, []))


@pytest.fixture(params=["full", "read-only"])
def unusable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system without room, or one that is read-only; for users who may not mount, a folder without rights."""
    place = tmp_path / "place"
    place.mkdir()
    options = "size=64k" if request.param == "full" else "ro"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=False).returncode == 0
    if not mounted:
        assert os.getuid(), "root may not mount here"
        place.chmod(0o500)
    yield place
    if mounted:
        subprocess.run(["umount", str(place)], check=True)
    place.chmod(0o700)


def test_a_cache_that_cannot_be_written_costs_one_warning(runs: Runs, unusable: Path) -> None:
    first = runs.frames(kept=KeptResults(None))
    runs.kept = unusable / "cache"
    for _ in range(2):
        seen = runs.frames()
        assert same(first, seen)
        (told,) = [event for event in seen.events if event.kind == "cache_unusable"]
        assert str(runs.kept) in told.message
        assert "--no-cache" in told.message
    assert not [path for path in unusable.rglob("*") if path.name.startswith(".unfinished")]


def test_without_a_home_nothing_is_kept_which_is_told_once(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MCLD_ANIM_CACHE_GB", "1")
    for name in ("MCLD_ANIM_HOME", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as without HOME and without an entry of the user
    told = [event.message for event in runs.frames(kept=open_kept()).events if event.kind == "cache_unusable"]
    assert len(told) == 1
    assert "set HOME or MCLD_ANIM_HOME" in told[0]


@pytest.mark.parametrize(("text", "expected"), [("", 5 * 10**9), ("0.5", 5 * 10**8), ("0", 0), (" 2 ", 2 * 10**9)])
def test_the_limit_is_in_gigabytes(monkeypatch: pytest.MonkeyPatch, text: str, expected: int) -> None:
    monkeypatch.setenv("MCLD_ANIM_CACHE_GB", text)
    assert cache_limit() == expected


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf", "5 GB"])
def test_no_size_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MCLD_ANIM_CACHE_GB", text)
    with pytest.raises(UsageError, match=r"MCLD_ANIM_CACHE_GB=.* is not a size: give gigabytes"):
        open_kept()


def test_nothing_is_kept_if_it_is_not_wanted(runs: Runs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path / "home"))
    for size, wanted in (("0", True), ("1", False)):
        monkeypatch.setenv("MCLD_ANIM_CACHE_GB", size)
        assert runs.frames(kept=open_kept(wanted)).reused == []
    assert not (tmp_path / "home").exists()
    assert runs.frames(kept=open_kept()).reused == []
    assert cache_folder() == tmp_path / "home" / "cache"
    states = list_kept().states
    assert {state.entry.kind for state in states if state.entry} == set(CROPS)
    left = Work(OutputFiles(tmp_path / "mine.mp4"))  # as a killed run leaves it
    left.kept.mkdir(parents=True)
    (left.kept / "frames.bin").write_bytes(bytes(5000))
    assert clear_kept(tmp_path) >= sum(state.bytes for state in states) + 5000
    assert not left.folder.exists()
    assert list_kept().states == []


def test_the_record_of_a_run_names_what_was_reused(runs: Runs, tmp_path: Path) -> None:
    options = RunOptions(
        source=runs.media / "person.png",
        driving=runs.media / "dance.mp4",
        densepose="tiny",
        steps=1,
        max_frames=2,
        output=tmp_path / "x.mp4",
    )
    for number in range(2):
        with closing(
            RunCache(tmp_path, load=lambda *_: runs.models, kept=KeptResults(DiskCache(runs.kept, LIMIT)))
        ) as cache:
            animate(replace(options, overwrite=number > 0), cache, on_event=lambda event: None)
        assert json.loads((tmp_path / "x.run.json").read_text())["reused"] == [[], CROPS][number]
