"""Whole batches on real files with small random networks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from mcld_anim.batch.job import BatchResult, run_batch
from mcld_anim.core.errors import ManifestError, OutputError
from mcld_anim.core.stages import ignore_progress
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.batch import BatchOptions

Batch = Callable[..., BatchResult]


@pytest.fixture
def batch(tmp_path: Path, media: Path, small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch) -> Batch:
    """Runs rows (paths relative to the media folder) into `tmp_path/out`; `batch.loads` counts loads."""

    def load(*_: object) -> LoadedModels:
        run_rows.loads += 1  # type: ignore[attr-defined]
        return small_models

    def run_rows(*rows: dict[str, Any], **options: Any) -> BatchResult:
        manifest = tmp_path / "jobs.jsonl"
        short = {"steps": 1, "guidance": 1.0}
        paths = ("source", "driving", "pose")
        full = [short | {k: str(media / v) if k in paths else v for k, v in given.items()} for given in rows]
        manifest.write_text("".join(json.dumps(row) + "\n" for row in full))
        progress = options.pop("progress", ignore_progress)
        given = BatchOptions(manifest=manifest, output_dir=tmp_path / "out", **options)
        return run_batch(given, progress, on_event=lambda _: None)

    monkeypatch.setattr("mcld_anim.run.cache.load_models", load)
    run_rows.loads = 0  # type: ignore[attr-defined]
    return run_rows


def row(source: str, output: str, **more: Any) -> dict[str, Any]:
    return {"source": source, "driving": "dance.mp4", "output": output, **more}


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "out" / "batch.json").read_text())


def test_shared_inputs_are_encoded_once(batch: Batch, tmp_path: Path, small_models: LoadedModels) -> None:
    passes = []
    small_models.mcld.reference_net.register_forward_hook(lambda *_: passes.append(1))
    result = batch(
        row("person.png", "a.mp4"),
        row("other.png", "sub/b.mp4"),
        row("person.png", "c.mp4", seed=1),
        {"source": "person.png", "pose": "other.png", "output": "d.png"},
    )
    assert (result.done, result.skipped, result.failed) == (4, 0, 0)
    assert batch.loads == 1  # type: ignore[attr-defined]
    assert len(passes) == 2  # two photos, although the rows alternate
    assert small_models.pose_backend.pictures == 2 + 11 + 1  # type: ignore[attr-defined]  # photos, video, pose
    assert [known["status"] for known in record(tmp_path)["rows"]] == ["done"] * 4
    assert [known["line"] for known in record(tmp_path)["rows"]] == [1, 2, 3, 4]
    assert record(tmp_path)["summary"] == {"done": 4, "failed": 0, "waiting": 0}
    assert sorted(path.name for path in (tmp_path / "out").glob("**/*.mp4")) == ["a.mp4", "b.mp4", "c.mp4"]
    assert not list((tmp_path / "out").glob(".*"))


def test_finished_rows_are_skipped_unless_something_changed(batch: Batch, tmp_path: Path) -> None:
    rows = [row("person.png", "a.mp4"), row("other.png", "b.mp4")]
    batch(*rows)
    first = (tmp_path / "out" / "a.mp4").stat().st_mtime_ns
    again = batch(*rows)
    assert (again.done, again.skipped, batch.loads) == (0, 2, 1)  # type: ignore[attr-defined]
    (tmp_path / "out" / "b.mp4").unlink()
    for path in (tmp_path / "out").glob("b.*.*"):
        path.unlink()
    once_more = batch(*rows)
    assert (once_more.done, once_more.skipped) == (1, 1)
    assert (tmp_path / "out" / "a.mp4").stat().st_mtime_ns == first
    with pytest.raises(ManifestError, match=r"line 1.*a\.mp4 exists already"):
        batch(row("person.png", "a.mp4", seed=3), rows[1])
    changed = batch(row("person.png", "a.mp4", seed=3, overwrite=True), rows[1])
    assert (changed.done, changed.skipped) == (1, 1)
    assert (tmp_path / "out" / "a.mp4").stat().st_mtime_ns > first


def test_one_bad_row_is_recorded_and_the_others_go_on(batch: Batch, tmp_path: Path) -> None:
    result = batch(
        row("room.png", "nobody.mp4"),
        row("person.png", "a.mp4"),
        {"source": "person.png", "driving": "person.png", "output": "no_video.mp4"},
        row("other.png", "b.mp4"),
    )
    assert (result.done, result.failed) == (2, 2)
    rows = {known["output"]: known for known in record(tmp_path)["rows"]}
    assert "no person was found" in rows["nobody.mp4"]["error"]
    assert rows["nobody.mp4"]["exit_code"] == 3
    assert "not a video" in rows["no_video.mp4"]["error"]
    assert rows["a.mp4"]["summary"]["frames"] == 11
    assert not (tmp_path / "out" / "nobody.mp4").exists()


def test_what_was_lost_is_told_to_every_row_that_shares_it(
    batch: Batch, tmp_path: Path, dance: list[Any], media: Path, clip_writer: Callable[..., None]
) -> None:
    empty = dance[0].picture * 0 + 255
    clip_writer(tmp_path / "gap.mp4", [dance[0].picture, empty, dance[4].picture])
    batch(*(row("person.png", f"{name}.mp4", driving=str(tmp_path / "gap.mp4")) for name in "ab"))
    for known in record(tmp_path)["rows"]:
        # The second row learns too what the first one's models had to do without.
        assert [event["kind"] for event in known["summary"]["events"]] == ["networks_missing", "person_missing"]


def test_a_crash_of_one_row_is_recorded_too(batch: Batch, tmp_path: Path, small_models: LoadedModels) -> None:
    calls = []

    def fail_once(*_: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("out of something")

    small_models.mcld.reference_net.register_forward_hook(fail_once)
    result = batch(row("person.png", "a.mp4"), row("other.png", "b.mp4"))
    assert (result.done, result.failed) == (1, 1)
    assert record(tmp_path)["rows"][0]["error"] == "RuntimeError: out of something"


def test_nothing_runs_while_one_row_is_wrong(batch: Batch, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"line 2: .*unknown key stepz"):
        batch(row("person.png", "a.mp4"), row("person.png", "b.mp4", stepz=3))
    assert not (tmp_path / "out").exists()
    assert batch.loads == 0  # type: ignore[attr-defined]


def test_an_interruption_leaves_a_true_record_to_go_on_from(
    batch: Batch, tmp_path: Path, small_models: LoadedModels
) -> None:
    calls = []

    def interrupt(*_: object) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    handle = small_models.mcld.reference_net.register_forward_hook(interrupt)
    rows = [row("person.png", "a.mp4"), row("other.png", "b.mp4")]
    with pytest.raises(KeyboardInterrupt):
        batch(*rows)
    handle.remove()
    assert [known["status"] for known in record(tmp_path)["rows"]] == ["done", "waiting"]
    assert not list((tmp_path / "out").glob(".*"))
    result = batch(*rows)
    assert (result.done, result.skipped) == (1, 1)


def test_a_foreign_batch_json_is_not_replaced(batch: Batch, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "batch.json").write_text("[]")
    with pytest.raises(OutputError, match="not a batch record"):
        batch(row("person.png", "a.mp4"))


def test_a_result_that_was_made_but_not_recorded_is_not_made_again(batch: Batch, tmp_path: Path) -> None:
    rows = [row("person.png", "a.mp4", max_frames=2), row("person.png", "b.mp4", max_frames=2, seed=1)]
    batch(*rows)
    path = tmp_path / "out" / "batch.json"
    known = record(tmp_path)
    known["rows"][0] = {**known["rows"][0], "status": "waiting", "summary": None}
    path.write_text(json.dumps(known))
    made = (tmp_path / "out" / "a.mp4").stat().st_mtime_ns
    again = batch(*rows)
    assert (again.done, again.skipped) == (0, 2)
    assert (tmp_path / "out" / "a.mp4").stat().st_mtime_ns == made
    assert record(tmp_path)["rows"][0]["summary"]["frames"] == 2
    path.unlink()
    with pytest.raises(ManifestError, match=r"line 1.*a\.mp4 exists already"):
        batch(row("person.png", "a.mp4", max_frames=2, seed=5), rows[1])


def test_a_failure_is_tried_again_and_a_refusal_is_not(
    batch: Batch, tmp_path: Path, small_models: LoadedModels
) -> None:
    calls = []

    def fail_twice(*_: object) -> None:
        calls.append(1)
        if len(calls) <= 2:
            raise RuntimeError("out of something")

    small_models.mcld.reference_net.register_forward_hook(fail_twice)
    rows = [row("room.png", "nobody.mp4", max_frames=2), row("person.png", "a.mp4", max_frames=2)]
    result = batch(*rows, retries=2)
    assert (result.done, result.failed) == (1, 1)
    nobody, made = record(tmp_path)["rows"]
    assert (nobody["status"], nobody.get("tries"), made["status"], made["tries"]) == ("failed", None, "done", 3)


def test_after_a_failure_no_row_begins_if_asked(batch: Batch, tmp_path: Path) -> None:
    rows = [row("room.png", "nobody.mp4"), row("person.png", "a.mp4", max_frames=2)]
    result = batch(*rows, fail_fast=True)
    assert (result.done, result.failed, result.waiting) == (0, 1, 1)
    assert [known["status"] for known in record(tmp_path)["rows"]] == ["failed", "waiting"]


def test_a_check_runs_and_writes_nothing(batch: Batch, tmp_path: Path) -> None:
    result = batch(row("person.png", "a.mp4"), row("other.png", "b.mp4"), check=True)
    assert (result.done, result.skipped, result.waiting) == (0, 0, 2)
    assert not (tmp_path / "out").exists()
    assert batch.loads == 0  # type: ignore[attr-defined]


def test_shards_keep_their_own_records_and_the_whole_merges_them(batch: Batch, tmp_path: Path) -> None:
    rows = [row("person.png", f"{name}.mp4", max_frames=1) for name in "abc"]
    first, second = batch(*rows, shard="1/2"), batch(*rows, shard="2/2")
    assert (first.record.name, first.done, second.record.name, second.done) == (
        *("batch.1-of-2.json", 2),
        *("batch.2-of-2.json", 1),
    )
    names = [
        [known["output"] for known in json.loads(path.read_text())["rows"]] for path in (first.record, second.record)
    ]
    assert names == [["a.mp4", "c.mp4"], ["b.mp4"]]
    assert not (tmp_path / "out" / "batch.json").exists()
    whole = batch(*rows)
    assert (whole.done, whole.skipped) == (0, 3)
    assert record(tmp_path)["summary"] == {"done": 3, "failed": 0, "waiting": 0}
    assert (batch(*rows, shard="2/2").skipped, batch(*rows, shard="3/3").skipped) == (1, 1)


def test_each_photo_is_combined_with_each_video(media: Path, tmp_path: Path, batch: Batch) -> None:
    del batch  # which puts small networks in place
    (tmp_path / "quick.yaml").write_text("steps: 1\nguidance: 1.0\nmax_frames: 1\n")
    options = BatchOptions(
        sources=str(media / "[po]*r*.png"),
        drivings=str(media / "dance.*"),
        output_dir=tmp_path / "out",
        config=tmp_path / "quick.yaml",
    )
    result = run_batch(options, on_event=lambda _: None)
    known = record(tmp_path)["rows"]
    assert [one["output"] for one in known] == ["other_dance.mp4", "person_dance.mp4"], result
    assert [one["line"] for one in known] == [None, None]
    assert known[0]["summary"]["frames"] == 1


def test_the_page_shows_every_row(batch: Batch, tmp_path: Path) -> None:
    said: list[tuple[str, int, int | None]] = []
    rows = [
        row("person.png", "sub/a: b.mp4", max_frames=2),
        {"source": "person.png", "pose": "other.png", "output": "still.png"},
        row("person.png", "c.zip", max_frames=2, background="transparent"),
        row("room.png", "<i>.mp4"),
    ]
    result = batch(*rows, progress=lambda *done: said.append(done))
    page = result.index.read_text(encoding="utf-8")
    assert "3 done, 1 failed, 0 waiting" in page
    assert "Failed: no person was found" in page
    assert "&lt;i&gt;.mp4" in page
    assert "<i>" not in page
    folder = tmp_path / "out"
    linked = [unquote(link) for link in re.findall(r'(?:src|href)="\./([^"]+)"', page)]
    assert len(linked) == 3 * 5  # picture, its link, result, report, record
    assert all((folder / link).is_file() for link in linked)
    for thumbnail in sorted((folder / "thumbnails").rglob("*.jpg")):
        picture = np.asarray(Image.open(thumbnail).convert("RGB"))
        assert picture.std() > 5, thumbnail
    summary = record(tmp_path)["rows"][0]["summary"]
    assert f"Face similarity {summary['face_similarity_mean']:.3f}" in page
    assert said[-2:] == [("rows", 4, 4), ("batch, %", 100, 100)]
    assert [done for stage, done, _ in said if stage == "batch, %"] == sorted(
        done for stage, done, _ in said if stage == "batch, %"
    )
