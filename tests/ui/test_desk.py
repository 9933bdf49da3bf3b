"""Requests: what is refused, in which words, and that nothing is left of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcld_anim.cli import flags, run
from mcld_anim.core.errors import UsageError, VideoError
from mcld_anim.options.ui import AUTH_VARIABLE, UiOptions
from mcld_anim.ui.controls import controls_of
from mcld_anim.ui.desk import Desk, Refused, Upload
from mcld_anim.ui.job import read_job, take_in
from mcld_anim.ui.messages import told, without_folders
from mcld_anim.ui.plan import USUAL
from mcld_anim.ui.queue import JobQueue, owner_of
from mcld_anim.ui.web import token_in

ME, OTHER = owner_of("me"), owner_of("somebody else")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A desk whose jobs wait for ever."""
    monkeypatch.setattr(JobQueue, "_serve", lambda self: None)
    jobs = JobQueue(tmp_path / "results", shared=False)
    yield Desk(jobs, controls_of(flags.described(run.command)), max_upload=1)
    jobs.close()


def values(desk: Desk, **changes: object) -> list[object]:
    """A form with some values changed; NAME_file is an uploaded file."""
    found: list[object] = []
    for control in desk.controls:
        found.append(changes.get(control.name, control.default))
        if control.or_file:
            found.append(changes.get(f"{control.name}_file"))
    return found


def test_a_job_holds_its_inputs_and_no_path(desk: Desk, media: Path) -> None:
    given = desk.form(values(desk, max_frames=3, background_file=str(media / "room.png")))
    job = desk.animate(ME, [Upload(media / "person.png")], Upload(media / "dance.mp4"), given)
    assert job.title == "person.png in the motion of dance.mp4"
    assert sorted(path.name for path in job.folder.iterdir()) == ["dance.mp4", "job.json", "person.png", "room.png"]
    record = json.loads((job.folder / "job.json").read_text())
    assert record["options"] == {
        "max_frames": 3,
        "background": "room.png",
        "source": "person.png",
        "driving": "dance.mp4",
    }
    known = read_job(job.folder)
    assert known is not None
    assert known.options == job.options
    assert [job.folder.name] == [one.folder.name for one in desk.jobs.jobs(ME)]


def test_a_job_is_its_owners(desk: Desk, media: Path) -> None:
    job = desk.animate(ME, [Upload(media / "person.png")], Upload(media / "dance.mp4"), {})
    assert desk.jobs.jobs(OTHER) == []
    assert desk.jobs.find(OTHER, job.id) is None
    assert not desk.jobs.remove(OTHER, job.id)
    assert job.folder.exists()
    assert desk.jobs.remove(ME, job.id)
    assert list(desk.jobs.output_dir.iterdir()) == []


def test_a_shared_gallery_shows_but_does_not_delete(tmp_path: Path, desk: Desk, media: Path) -> None:
    job = desk.animate(ME, [Upload(media / "person.png")], Upload(media / "dance.mp4"), {})
    shared = JobQueue(desk.jobs.output_dir, shared=True)
    assert [one.id for one in shared.jobs(OTHER)] == [job.id]
    assert not shared.remove(OTHER, job.id)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"background": "/etc/passwd"}, "upload it instead"),
        ({"background": "../secret.png"}, "upload it instead"),
        ({"background": "secret.png"}, "upload it instead"),
        ({"audio": "~/song.mp3"}, "upload it instead"),
        ({"densepose": "/srv/poses.zip"}, "upload it instead"),
        ({"model": "/srv/weights"}, "--model: choose auto, tiny, mcld-sd15"),
        ({"steps": 2000}, "--steps 2000 is out of range; it must be between 1 and 1000"),
        ({"background": "#12"}, "--background #12: give generated"),
    ],
)
def test_a_text_names_no_file_of_the_server(desk: Desk, media: Path, changes: dict[str, object], words: str) -> None:
    photo, clip = Upload(media / "person.png"), Upload(media / "dance.mp4")
    with pytest.raises(Refused, match=re.escape(words)):
        desk.animate(ME, [photo], clip, desk.form(values(desk, **changes)))
    assert list(desk.jobs.output_dir.iterdir()) == []


def test_what_is_missing_or_wrong_is_told(desk: Desk, media: Path, tmp_path: Path) -> None:
    photo, clip = Upload(media / "person.png"), Upload(media / "dance.mp4")
    large, text = tmp_path / "large.mp4", tmp_path / "text.mp4"
    large.write_bytes(bytes(1_000_001))
    text.write_text("no video")
    for photos, driving, words in (
        ([], clip, "There is no photo"),
        ([photo], None, "There is no driving video"),
        ([photo], Upload(large), "^Large.mp4 is larger than the 1 MB|large.mp4 is larger than the 1 MB"),
        ([photo], Upload(text), "(?i)^text.mp4 "),
        ([photo], Upload(tmp_path / "gone.mp4"), "(?i)gone.mp4 is not there any more"),
        ([Upload(text)], clip, "text.mp4 is not a picture that can be read"),
    ):
        with pytest.raises(Refused, match=words) as refused:
            desk.animate(ME, photos, driving, {})
        assert str(tmp_path) not in str(refused.value)
    assert list(desk.jobs.output_dir.iterdir()) == []


def test_a_plan_tells_model_frames_and_size(desk: Desk, media: Path) -> None:
    photo, clip = Upload(media / "person.png"), Upload(media / "dance.mp4")
    plan = desk.plan([photo], clip, {"start": 0.5, "framing": "fixed"})
    assert plan is not None
    assert (plan.model, plan.device, plan.frames, plan.size) == ("tiny", "cpu", 6, "256x256 pixels")
    assert plan.is_guess
    assert plan.seconds is not None
    assert plan.seconds > 0
    assert plan.memory == USUAL[None].memory
    in_photo = desk.plan([photo], clip, {"densepose": "body"})
    assert in_photo is not None
    assert in_photo.memory == USUAL["photo"].memory
    assert desk.plan([photo], None, {}) is None


def test_a_plan_learns_from_a_result(desk: Desk, media: Path) -> None:
    photo, clip = Upload(media / "person.png"), Upload(media / "dance.mp4")
    job = desk.animate(ME, [photo], clip, {})
    job.state, job.result, job.frames = "done", "out.mp4", 10
    seconds = {"start": 1.0, "source": 3.0, "synthesis": 5.0, "total": 10.0}
    chosen = {"model": "tiny", "device": "cpu", "framing": "fixed"}
    record = {"options": chosen, "seconds": seconds, "peak_memory_bytes": {"main": 7}}
    (job.folder / "out.run.json").write_text(json.dumps(record))
    plan = desk.plan([photo], clip, {"framing": "fixed", "max_frames": 5})
    assert plan is not None
    assert not plan.is_guess
    assert plan.seconds == pytest.approx(4 + 5 * 0.6)
    assert plan.memory == 7


def test_the_ends_of_the_clip_are_shown(desk: Desk, media: Path) -> None:
    shown = desk.look_at_driving(Upload(media / "dance.mp4"), 0.3, 0.8)
    assert [seconds for seconds, _ in shown] == pytest.approx([0.3, 0.7])
    assert all(jpeg.startswith(b"\xff\xd8") for _, jpeg in shown)
    assert shown[0][1] != shown[1][1]


def test_errors_are_one_sentence_without_folders() -> None:
    folder = Path("/srv/results/abc/job")
    refused = VideoError(f"{folder}/me.mp4 holds no frame,\nsee /home/someone/.cache/x.bin and https://example.org/a/b")
    assert told(refused, folder) == "Me.mp4 holds no frame, see x.bin and https://example.org/a/b"
    assert without_folders("--source C:\\Users\\me\\photo.png is bad", folder) == "--source photo.png is bad"
    assert told(ZeroDivisionError("secret"), folder) == (
        "The work failed by a defect of this program (ZeroDivisionError); the server's log says more"
    )
    assert "secret" not in told(OSError(28, "No space left on device", "/srv/secret"), folder)


@pytest.mark.parametrize(
    "name", ["../../up.png", "..\\up.png", "/etc/up.png", ".up.png", "job.json", "a\nb.png", "x" * 300]
)
def test_a_file_keeps_its_name_as_far_as_that_is_safe(tmp_path: Path, name: str) -> None:
    given, folder = tmp_path / "given", tmp_path / "job"
    given.write_bytes(b"x")
    folder.mkdir()
    first, second = take_in(given, name, folder), take_in(given, name, folder)
    assert {path.name for path in folder.iterdir()} == {first, second}
    assert first != second
    assert re.fullmatch(r"[\w-][\w.-]{0,80}", first)
    assert first != "job.json"


def test_a_login_comes_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(AUTH_VARIABLE, raising=False)
    assert UiOptions().login() is None
    (tmp_path / "login").write_text("me:pass:word\n")
    assert UiOptions(auth=tmp_path / "login").login() == ("me", "pass:word")
    monkeypatch.setenv(AUTH_VARIABLE, "you:secret")
    assert UiOptions().login() == ("you", "secret")
    with pytest.raises(UsageError, match="names no file") as refused:
        UiOptions(auth=Path("me:secret")).login()
    assert "secret" not in str(refused.value)
    monkeypatch.setenv(AUTH_VARIABLE, "secret")
    with pytest.raises(UsageError, match="does not hold user:password"):
        UiOptions().login()


def test_only_whole_tokens_count() -> None:
    token = "t" * 43
    assert token_in(f"a=b; mcld_anim_session={token}") == token
    assert token_in("mcld_anim_session=short") is None
    assert token_in("") is None
