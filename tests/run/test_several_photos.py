"""Several photos of one person: joined, told, recorded, kept and resumed; one photo is what it always was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mcld_anim import Animator
from mcld_anim.cli.main import app
from mcld_anim.core.disk_cache import DiskCache
from mcld_anim.core.errors import PoseError, UsageError
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.core.version import __version__
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.load import to_mapping
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import PoseOptions, RunOptions
from mcld_anim.run.animate import animate
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import check_run
from mcld_anim.run.clip import Clip, open_clip
from mcld_anim.run.kept import KeptResults
from mcld_anim.run.request import request_of
from mcld_anim.run.result import Result
from mcld_anim.run.several_photos import one_person
from mcld_anim.run.source import SourcePhoto
from mcld_anim.synthetic.person import Person, render
from mcld_anim.synthetic.scene import Light, View, draw_background
from mcld_anim.synthetic.views import draw_shots

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, media: Path, small_models: LoadedModels) -> Run:
    """Runs the sample clip into `tmp_path/NAME`; `run.told` has its events."""

    def run_with(name: str = "x.mp4", progress: Any = lambda *_: None, **change: Any) -> Result:
        given = {"source": [media / "person.png", media / "other.png"], "driving": media / "dance.mp4"}
        usual = {"densepose": "tiny", "batch_size": 2, "max_frames": 6, "steps": 1, "crf": 0}
        options = resolve_options(RunOptions, {**given, **usual, "output": tmp_path / name, **change})
        run_with.told = []  # type: ignore[attr-defined]
        cache = RunCache(tmp_path, load=lambda *_: small_models)
        return animate(options, cache, progress, run_with.told.append)  # type: ignore[attr-defined]

    return run_with


def told(run: Run, kind: str) -> list[str]:
    events: list[Event] = run.told  # type: ignore[attr-defined]
    return [event.message for event in events if event.kind == kind]


def pixels(result: Result) -> np.ndarray:
    with av.open(str(result.output)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_a_second_photo_changes_the_frames_and_is_told(run: Run, media: Path, small_models: LoadedModels) -> None:
    encoded: list[object] = []
    small_models.mcld.reference_net.register_forward_hook(lambda *_: encoded.append(None))
    both = run("both.mp4")
    assert len(encoded) == 1  # ReferenceNet runs once
    (joined,) = told(run, "photos_joined")
    assert "person.png shows" in joined
    assert "other.png adds" in joined
    (other,) = told(run, "other_person")  # they are two people
    assert "other.png seems to show somebody else than" in other
    record = json.loads(both.files.run_json.read_text())
    assert [Path(name).name for name in record["inputs"]] == ["person.png", "other.png", "dance.mp4"]
    assert [Path(name).name for name in record["options"]["more_sources"]] == ["other.png"]
    assert {"photos_joined", "other_person"} <= {event["kind"] for event in record["events"]}
    assert {"photos_joined", "other_person"} <= {event["kind"] for event in both.summary["events"]}
    assert "person.png and other.png in the motion of dance.mp4" in both.files.report_html.read_text()
    alone = run("one.mp4", source=media / "person.png")
    assert not told(run, "photos_joined")
    assert np.abs(pixels(both).astype(int) - pixels(alone)).max() > 10


def test_a_body_that_was_not_seen_right_is_told() -> None:
    person, size = Person.from_seed(900_009), 256
    (shot,), background = draw_shots(person, 0, 1), draw_background(np.random.default_rng(0), size, "plain")
    shown = render(person, shot.pose.changed(turn=0.0), View(zoom=0.8), Light(), background, size, supersample=1)
    for higher, expected in ((0, ["photos_joined"]), (14, ["other_colours", "photos_joined"])):
        events: list[Event] = []
        iuvs = shown.iuv, np.roll(shown.iuv, -higher, axis=0)
        photos = [SourcePhoto(None, shown.picture, iuv, None, None) for iuv in iuvs]
        one_person(photos, [Path("a.png"), Path("b.png")], None, Stages(on_event=events.append))
        assert [event.kind for event in events] == expected
    assert "b.png shows other colours than a.png" in events[0].message


def test_an_interrupted_run_goes_on_with_the_same_photos_only(run: Run, media: Path) -> None:
    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "frames" and done == 4:
            raise KeyboardInterrupt

    whole = run("whole.mp4")
    for name, photos in (("same.mp4", ["person.png", "other.png"]), ("swapped.mp4", ["other.png", "person.png"])):
        with pytest.raises(KeyboardInterrupt):
            run(name, stop)
        result = run(name, source=[media / photo for photo in photos])
        assert bool(told(run, "resumed")) == (name == "same.mp4")
        assert bool(told(run, "started_anew")) == (name != "same.mp4")
        assert np.array_equal(pixels(result), pixels(whole)) == (name == "same.mp4")
    with pytest.raises(KeyboardInterrupt):
        run("fewer.mp4", stop)
    run("fewer.mp4", source=media / "person.png")
    assert "source 2" in told(run, "started_anew")[0]


def test_what_was_joined_is_kept_for_later_runs(
    media: Path, small_models: LoadedModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*names: str) -> tuple[Clip, list[str]]:
        stages = Stages(on_event=lambda event: None)
        options = RunOptions(
            source=media / names[0],
            more_sources=tuple(media / name for name in names[1:]),
            driving=media / "dance.mp4",
            densepose="tiny",
            steps=1,
            max_frames=2,
        )
        kept = KeptResults(DiskCache(tmp_path / "kept", 10**9))
        with closing(RunCache(tmp_path, load=lambda *_: small_models, kept=kept)) as cache:
            return open_clip(check_run(options), cache, stages), stages.reused

    first, _ = opened("person.png", "other.png")
    swapped, reused = opened("other.png", "person.png")
    assert reused.count("source-photo") == 2  # each photo is kept by itself
    assert "source" not in reused
    monkeypatch.setattr("mcld_anim.run.source.encode_photo", lambda *_: pytest.fail("it was encoded"))
    again, reused = opened("person.png", "other.png")
    assert {"source-photo", "source", "driving-poses"} <= set(reused)
    assert first.source is not None
    assert again.source is not None
    assert swapped.source is not None
    assert np.array_equal(first.source.texture, again.source.texture)
    assert not np.array_equal(first.source.texture, swapped.source.texture)


def test_the_photo_without_a_person_is_named(run: Run, media: Path) -> None:
    with pytest.raises(PoseError, match=r"no person was found in --source .*room\.png"):
        run(source=[media / "person.png", media / "room.png"])


def test_one_photo_asks_for_what_it_asked_before(media: Path, tmp_path: Path) -> None:
    """The checksum by which finished results are recognised knows nothing of further photos."""
    paths = {"source": media / "person.png", "driving": media / "dance.mp4"}
    options, cache = RunOptions(**paths, output=tmp_path / "x.mp4"), RunCache()
    given = to_mapping(options)
    for name in ("output", "overwrite", "offline", "resume", "more_sources"):
        del given[name]
    asked = given | {"source": "a file", "driving": "a file"}
    inputs = [cache.checksums.of(path) for path in paths.values()]
    text = json.dumps([__version__, "RunOptions", asked, inputs], sort_keys=True)
    assert request_of(options, cache.checksums) == hashlib.sha256(text.encode()).hexdigest()
    listed = resolve_options(RunOptions, {**paths, "source": [media / "person.png"], "output": tmp_path / "x.mp4"})
    assert listed == options
    requests = {
        request_of(RunOptions(**paths, more_sources=more), cache.checksums)
        for more in ((), (media / "other.png",), (media / "other.png", media / "room.png"))
    }
    assert len(requests) == 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source": ["a.png"] * 9}, "9 photos were given, at most 8"),
        ({"source": []}, "empty list"),
        ({"source": "a.png", "more_sources": ["b.png"]}, "give source as a list"),
        ({"source": ["a.png", 5]}, r"more_sources\[0\]: got 5"),
    ],
)
def test_wrong_lists_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        resolve_options(PoseOptions, {"pose": "p.png", **given})


def test_arrays_and_paths_may_be_mixed_in_python(
    media: Path, photo: Any, other_photo: Any, small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_: small_models)
    with Animator(densepose="tiny", device="cpu", cache=False) as animator:
        made = [
            animator.transfer(source, media / "other.png", steps=1, on_event=lambda event: None)
            for source in ([photo.picture, media / "other.png"], (media / "person.png", other_photo.picture))
        ]
        assert np.array_equal(made[0], made[1])
        with pytest.raises(UsageError, match="source is float64"):
            animator.transfer([photo.picture, photo.picture / 255], media / "other.png")


def _invoke(*arguments: object) -> tuple[int, str]:
    """Exit code and stderr."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stderr


def test_a_texture_is_joined_of_several_photos(media: Path, tmp_path: Path) -> None:
    photos = media / "person.png", media / "other.png"
    made = []
    for name, given in (
        ("one.png", photos[:1]),
        ("both.png", photos),
        ("flags.png", ("--source", photos[0], "-s", photos[1])),
    ):
        code, told = _invoke("texture", *given, "--densepose", "tiny", "-o", tmp_path / name)
        assert code == 0
        assert ("seems to show somebody else" in told) == (name != "one.png")
        made.append(np.asarray(Image.open(tmp_path / name)))
    assert np.array_equal(made[1], made[2])
    assert np.count_nonzero(made[1].any(-1)) > np.count_nonzero(made[0].any(-1))
    assert _invoke("texture", "-o", tmp_path / "t.png")[0] == 2
    assert _invoke("texture", *photos, "--iuv", photos[0], "-o", tmp_path / "t.png")[0] == 2
