"""Whole batches on real files with small random networks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcld_anim.batch.job import BatchResult, run_batch
from mcld_anim.core.errors import ManifestError, OutputError
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
        given = BatchOptions(manifest=manifest, output_dir=tmp_path / "out", **options)
        return run_batch(given, on_event=lambda _: None)

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
