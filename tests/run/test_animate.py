"""`animate` on real files with small random networks: its outputs, and nothing else."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch

from mcld_anim.core.errors import InputError, OutputError, PoseError, UsageError
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RunOptions
from mcld_anim.pose.iuv_file import iuv_writer
from mcld_anim.run.animate import animate, ignore_frame
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import check_run
from mcld_anim.run.frames import Frame
from mcld_anim.run.result import Result
from mcld_anim.synthetic.person import Rendering

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, media: Path, small_models: LoadedModels) -> Run:
    """Runs the sample clip into `tmp_path/out` with changed options."""

    def run_with(
        name: str = "out/result.mp4",
        on_event: Any = None,
        profile: bool = False,
        on_frame: Any = ignore_frame,
        **change: Any,
    ) -> Result:
        given = {
            "source": media / "person.png",
            "driving": media / "dance.mp4",
            "output": tmp_path / name,
            "densepose": "tiny",
            **change,
        }
        (tmp_path / "cache").mkdir(exist_ok=True)
        cache = RunCache(tmp_path / "cache", load=lambda *_: small_models)
        told = on_event or (lambda _: None)
        return animate(RunOptions(**given), cache, on_event=told, profile=profile, on_frame=on_frame)

    return run_with


def decode(path: Path) -> np.ndarray:
    """All frames of a video, (F, H, W, 3) uint8 RGB."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_a_run_makes_the_video_and_the_files_beside_it(run: Run, tmp_path: Path, media: Path) -> None:
    result = run()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "result.mp4",
        "result.report.csv",
        "result.report.html",
        "result.report.json",
        "result.run.json",
    ]
    with av.open(str(result.output)) as made, av.open(str(media / "dance.mp4")) as driving:
        video = made.streams.video[0]
        assert (video.codec_context.name, video.pix_fmt, video.frames) == ("h264", "yuv420p", 11)
        assert (video.width, video.height, video.average_rate) == (64, 64, Fraction(10))
        sound = [bytes(packet) for packet in made.demux(made.streams.audio[0]) if packet.size]
        original = [bytes(packet) for packet in driving.demux(driving.streams.audio[0]) if packet.size]
    assert len(sound) > 10
    assert set(sound) <= set(original)  # copied bit by bit


def test_the_report_has_a_row_for_each_frame(run: Run, tmp_path: Path) -> None:
    summary = run().summary
    report = json.loads((tmp_path / "out" / "result.report.json").read_text())
    assert [row["index"] for row in report["frames"]] == list(range(11))
    assert [row["time"] for row in report["frames"]] == pytest.approx([index / 10 for index in range(11)])
    assert all(row["person_found"] and row["face_found"] for row in report["frames"])
    assert all(-1 <= row["face_similarity"] <= 1 for row in report["frames"])
    assert report["frames"][0]["stability"] is None
    assert all(0 < row["stability"] < 100 for row in report["frames"][1:])
    assert report["summary"] == summary
    assert (summary["frames"], summary["frames_without_person"], summary["source_face_found"]) == (
        11,
        0,
        True,
    )
    with (tmp_path / "out" / "result.report.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == 11


def test_the_record_says_how_it_was_made(run: Run, tmp_path: Path, media: Path) -> None:
    run(batch_size=3, seed=5)
    record = json.loads((tmp_path / "out" / "result.run.json").read_text())
    options = record["options"]
    assert (options["steps"], options["guidance"], options["seed"]) == (
        3,
        2.0,
        5,
    )  # the model's own, and the flag
    assert (options["device"], options["dtype"]) == ("cpu", "float32")
    assert (options["model"], options["densepose"], options["face"]) == ("tiny", "tiny", "tiny")  # not "auto"
    assert set(record["inputs"]) == {str(media / "person.png"), str(media / "dance.mp4")}
    assert all(len(checksum) == 64 for checksum in record["inputs"].values())
    assert record["weights"] == {"random": "0" * 64}
    assert {"mcld-anim", "python", "torch", "diffusers", "transformers", "av"} <= set(record["versions"])
    assert {"source", "driving poses", "synthesis", "video", "total"} <= set(record["seconds"])
    assert record["peak_memory_bytes"]["main"] > 50_000_000
    assert record["reader"] == {"driving poses": "pyav"}
    run("scene.mp4", background="driving")
    readers = json.loads((tmp_path / "scene.run.json").read_text())["reader"]
    assert readers == {"driving poses": "pyav", "background": "pyav"}


@pytest.mark.parametrize("noise", ["shared", "mixed:1", "independent"])
def test_frames_do_not_depend_on_the_batch_size(run: Run, noise: str) -> None:
    # CRF 0 with the same pictures gives the same file; one grey level of difference shows as a few, two more by coding
    frames = [decode(run(f"b{size}.mp4", batch_size=size, noise=noise, crf=0).output) for size in (1, 3, 8)]
    assert frames[0].std() > 5
    for other in frames[1:]:
        assert np.abs(frames[0].astype(int) - other.astype(int)).max() <= 6


def test_the_source_is_encoded_once_whatever_the_number_of_frames(
    run: Run, small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    mcld, calls = small_models.mcld, {}
    for part in ("image_encoder", "reference_net", "face_tokens", "pose_guider", "denoiser"):
        calls[part] = 0

        def count(*_: object, part: str = part) -> None:
            calls[part] += 1

        getattr(mcld, part).register_forward_hook(count)
    projections = []
    project = mcld.denoiser.project_source
    monkeypatch.setattr(mcld.denoiser, "project_source", lambda *given: projections.append(1) or project(*given))
    run(batch_size=2)
    assert calls["reference_net"] == calls["face_tokens"] == len(projections) == 1
    assert calls["image_encoder"] == 1  # photo and texture together
    assert calls["pose_guider"] == 6  # once per batch of 2, not per step
    assert calls["denoiser"] == 6 * 3  # batches x steps; guidance is part of the same call


@pytest.mark.parametrize("blending", ["surface", "neighbour"])
def test_a_device_without_memory_gets_fewer_frames_at_a_time(
    run: Run, small_models: LoadedModels, tmp_path: Path, blending: str
) -> None:
    alone: list[Frame] = []
    made: list[Frame] = []  # frames, not videos: H.264 makes much of one level in one pixel
    run(blending=blending, batch_size=1, on_frame=alone.append)
    rows: list[int] = []

    def fail(_module: object, inputs: tuple[torch.Tensor, ...], _output: object) -> None:
        rows.append(len(inputs[0]))
        if len(rows) > 3 and len(inputs[0]) > 1:  # in the middle of the second batch
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    small_models.mcld.denoiser.register_forward_hook(fail)
    told: list[Event] = []
    run(on_event=told.append, on_frame=made.append, blending=blending, batch_size=4, overwrite=True)
    for one, other in zip(made, alone, strict=True):
        assert np.abs(one.picture.astype(int) - other.picture).max() <= 1
    halved = [event.message.partition(":")[0] for event in told if event.kind == "batch_halved"]
    assert halved == [f"the device has no memory for {tried} frames at a time" for tried in (4, 2)]
    assert rows[-1] == 1


@pytest.mark.parametrize(("batch_size", "recorded"), [(2, "2 of 6 batches, after 1"), (16, "1 of 1 batches, after 0")])
def test_a_profile_has_operators_and_stages(run: Run, tmp_path: Path, batch_size: int, recorded: str) -> None:
    told: list[Event] = []
    run(on_event=told.append, profile=True, batch_size=batch_size, steps=1)
    table = (tmp_path / "out" / "result.profile.txt").read_text()
    assert table.startswith(f"{recorded} for warm-up\n")
    assert "aten::mm" in table
    trace = json.loads((tmp_path / "out" / "result.trace.json").read_text())
    names = [event["name"] for event in trace["traceEvents"]]
    assert names.count("synthesis") == int(recorded[0])
    assert [event.kind for event in told if event.kind == "profiled"] == ["profiled"]


def test_seed_and_noise_matter(run: Run) -> None:
    first, again, other = (decode(run(f"{n}.mp4", seed=seed, crf=0).output) for n, seed in enumerate((0, 0, 1)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_range_of_the_video_and_another_rate(run: Run, tmp_path: Path) -> None:
    result = run(start=0.3, end=0.8, fps=5.0)
    times = [row["time"] for row in json.loads((tmp_path / "out" / "result.report.json").read_text())["frames"]]
    assert times == pytest.approx([0.3, 0.5, 0.7])
    assert len(decode(result.output)) == 3
    assert len(decode(run("out/few.mp4", max_frames=4).output)) == 4


def test_side_by_side_shows_source_pose_and_result(run: Run) -> None:
    alone = decode(run("a.mp4", crf=0).output)
    beside = decode(run("b.mp4", crf=0, side_by_side=True).output)
    assert beside.shape == (11, 64, 192, 3)
    assert np.abs(beside[:, :, 128:].astype(int) - alone.astype(int)).mean() < 2
    assert np.abs(beside[0, :, :64].astype(int) - beside[5, :, :64].astype(int)).max() <= 4  # the source stands still
    assert np.abs(beside[0, :, 64:128].astype(int) - beside[5, :, 64:128].astype(int)).mean() > 2  # the pose moves


@pytest.mark.parametrize("audio", ["none", "file"])
def test_other_sound(run: Run, media: Path, audio: str) -> None:
    result = run(audio="none" if audio == "none" else str(media / "dance.mp4"), driving=media / "dance.mp4")
    with av.open(str(result.output)) as container:
        assert len(container.streams.audio) == (audio == "file")


@pytest.mark.parametrize(("wanted", "codec"), [("auto", "aac"), ("copy", "ac3"), ("aac", "aac")])
def test_sound_that_browsers_do_not_play(run: Run, tmp_path: Path, media: Path, wanted: str, codec: str) -> None:
    with av.open(str(media / "dance.mp4")) as source, av.open(str(tmp_path / "ac3.mkv"), "w") as out:
        sound = out.add_stream("ac3", rate=44_100, layout="mono")
        for frame in source.decode(audio=0):
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    result = run(audio=str(tmp_path / "ac3.mkv"), audio_codec=wanted, max_frames=4)
    with av.open(str(result.output)) as made:
        assert made.streams.audio[0].codec_context.name == codec
    kinds = [event["kind"] for event in result.summary["events"]]
    assert kinds.count("audio_transcoded") == (codec == "aac")


def test_frames_without_a_person_hold_the_last_pose_and_are_marked(
    run: Run, tmp_path: Path, dance: list[Rendering], media: Path, clip_writer: Callable[..., None]
) -> None:
    with av.open(str(media / "room.mp4")) as container:
        room = next(container.decode(video=0)).to_ndarray(format="rgb24")
    pictures = [room, dance[0].picture, dance[5].picture, room, room, dance[9].picture]
    clip_writer(tmp_path / "gaps.mp4", pictures)
    told: list[Event] = []
    result = run("gaps_out.mp4", driving=tmp_path / "gaps.mp4", on_event=told.append, crf=0)
    rows = json.loads(result.output.with_suffix(".report.json").read_text())["frames"]
    assert [row["person_found"] for row in rows] == [False, True, True, False, False, True]
    assert result.summary["frames_without_person"] == 3
    assert [event.kind for event in told if event.kind != "poses_repaired"] == ["person_missing"]
    assert "3 of 6" in told[0].message
    frames = decode(result.output).astype(int)
    assert np.abs(frames[0] - frames[1]).mean() < 6  # before the first person: the first pose
    assert np.abs(frames[3] - frames[2]).mean() < 6  # held
    assert np.abs(frames[5] - frames[4]).mean() > np.abs(frames[4] - frames[3]).mean()


def test_precomputed_poses_give_the_same_video(
    run: Run, tmp_path: Path, media: Path, dance: list[Rendering], small_models: LoadedModels
) -> None:
    with iuv_writer(tmp_path / "poses.zip", Fraction(10)) as writer:
        for one in dance:
            writer.write(one.iuv)
    estimated = decode(run("estimated.mp4", crf=0).output)
    small_models.pose_backend.pictures = 0  # type: ignore[attr-defined]
    given = run("given.mp4", crf=0, densepose=str(tmp_path / "poses.zip"))
    assert small_models.pose_backend.pictures == 1  # type: ignore[attr-defined]  # the photo only
    assert np.array_equal(decode(given.output), estimated)
    assert str(tmp_path / "poses.zip") in json.loads(given.output.with_suffix(".run.json").read_text())["inputs"]
    late = run("late.mp4", crf=0, densepose=str(tmp_path / "poses.zip"), start=0.5, blend=0.0)
    assert np.array_equal(decode(late.output), decode(run("late_too.mp4", crf=0, start=0.5, blend=0.0).output))


def test_without_a_face_nothing_is_invented(run: Run, small_models: LoadedModels, tmp_path: Path) -> None:
    result = run(face="none")
    assert result.summary["source_face_found"]  # the fixture's models come with a face backend
    small_models.face_backend.LEAST_PIXELS = 10**6  # type: ignore[union-attr]
    told: list[Event] = []
    result = run("faceless.mp4", on_event=told.append)
    assert not result.summary["source_face_found"]
    assert result.summary["face_similarity_mean"] is None
    assert [event.kind for event in told if event.kind != "poses_repaired"] == ["source_face_missing"]
    with (tmp_path / "faceless.report.csv").open() as stream:
        assert {row["face_similarity"] for row in csv.DictReader(stream)} == {""}


def test_progress_reaches_the_end_of_every_stage(tmp_path: Path, media: Path, small_models: LoadedModels) -> None:
    seen: dict[str, list[tuple[int, int | None]]] = {}
    options = RunOptions(source=media / "person.png", driving=media / "dance.mp4", output=tmp_path / "r.mp4")
    animate(
        options,
        RunCache(tmp_path, load=lambda *_: small_models),
        progress=lambda stage, done, total: seen.setdefault(stage, []).append((done, total)),
    )
    assert list(seen) == ["start", "source", "driving poses", "frames"]
    for steps in seen.values():
        assert steps[0][0] == 0
        assert steps[-1][0] == steps[-1][1]
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"source": "room.png"}, PoseError, "no person was found in --source"),
        ({"driving": "room.mp4"}, PoseError, "no person was found in any of 5 frames"),
        ({"source": "none.png"}, InputError, "does not exist"),
        ({"driving": "none.mp4"}, InputError, "does not exist"),
    ],
)
def test_a_refused_run_leaves_nothing(
    run: Run, tmp_path: Path, media: Path, change: dict[str, str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        run("new/folder/result.mp4", **{key: media / name for key, name in change.items()})
    assert not (tmp_path / "new").exists()


def test_an_existing_output_is_kept_unless_asked(run: Run, tmp_path: Path) -> None:
    existing = tmp_path / "out" / "result.mp4"
    existing.parent.mkdir()
    existing.write_bytes(b"precious")
    with pytest.raises(OutputError, match="--overwrite"):
        run()
    assert existing.read_bytes() == b"precious"
    run(overwrite=True)
    assert len(decode(existing)) == 11


def test_an_input_is_never_the_output(run: Run, media: Path) -> None:
    with pytest.raises(UsageError, match="replace the input"):
        run(output=media / "dance.mp4", overwrite=True)


@pytest.mark.parametrize("failure", [RuntimeError("disk on fire"), KeyboardInterrupt()])
def test_a_run_that_ends_before_its_first_batch_leaves_nothing(
    run: Run, tmp_path: Path, small_models: LoadedModels, failure: BaseException
) -> None:
    calls = []

    def fail_later(*_: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise failure

    small_models.mcld.denoiser.register_forward_hook(fail_later)
    with pytest.raises(type(failure)):
        run("new/result.mp4", batch_size=2)
    assert len(calls) == 2
    assert not (tmp_path / "new").exists()


def test_retargeting_changes_the_body_in_every_frame_and_not_the_batches(run: Run) -> None:
    off = decode(run("off.mp4", crf=0).output)
    made = {size: run(f"b{size}.mp4", batch_size=size, crf=0, retarget="limbs") for size in (1, 4)}
    frames = [decode(one.output).astype(int) for one in made.values()]
    assert len(frames[0]) == len(off)
    assert np.abs(frames[0] - frames[1]).max() <= 4
    assert (np.abs(frames[0] - off).mean((1, 2, 3)) > 0.5).all()
    summary = made[4].summary
    assert [event["kind"] for event in summary["events"] if event["kind"].startswith("retarget")][-1] == "retargeted"


def test_in_the_driving_scene_a_retargeted_body_keeps_its_height(run: Run) -> None:
    summary = run(background="driving", retarget="limbs").summary
    (message,) = [event["message"] for event in summary["events"] if event["kind"] == "retargeted"]
    assert "1.00 times as tall" in message


def test_another_person_is_another_sequence_of_poses(tmp_path: Path, media: Path, small_models: LoadedModels) -> None:
    cache, backend = RunCache(tmp_path, load=lambda *_: small_models), small_models.pose_backend
    estimated = []
    for person in ("largest", "1", "64,64", "largest", 1):
        options = RunOptions(source=media / "person.png", driving=media / "dance.mp4", person=person)
        before = backend.pictures  # type: ignore[attr-defined]
        poses = cache.driving(check_run(options), small_models, Stages(on_event=lambda _: None))
        estimated.append(backend.pictures - before)  # type: ignore[attr-defined]
        assert poses.cuts == (False,) * 11
    assert estimated == [11, 11, 11, 0, 0]


def test_a_cut_is_in_the_report_and_told(
    run: Run, tmp_path: Path, media: Path, dance: list[Rendering], photo: Rendering, clip_writer: Callable[..., None]
) -> None:
    """Also with poses from a file: cuts are detected in the frames."""
    scene = cv2.resize(photo.picture, (128, 128), interpolation=cv2.INTER_AREA)
    clip_writer(tmp_path / "cut.mp4", [*(one.picture for one in dance[:5]), *[255 - scene[::-1]] * 2, *[scene] * 4])
    told: list[Event] = []
    result = run("cut_out.mp4", driving=tmp_path / "cut.mp4", on_event=told.append)
    rows = json.loads(result.output.with_suffix(".report.json").read_text())["frames"]
    noticed = [row["index"] for row in rows if row["cut"]]
    assert 5 in noticed
    assert result.summary["cuts"] == len(noticed)
    (event,) = [event for event in told if event.kind == "cuts"]
    assert "cuts to another scene at" in event.message
    with iuv_writer(tmp_path / "poses.zip", Fraction(10)) as writer:
        for index in range(11):
            writer.write(dance[index].iuv)
    run("given.mp4", driving=tmp_path / "cut.mp4", densepose=str(tmp_path / "poses.zip"))
    given = json.loads((tmp_path / "given.report.json").read_text())["frames"]
    assert [row["index"] for row in given if row["cut"]] == noticed
