"""The report's files and the clock."""

import csv
import json
from pathlib import Path

from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.report.frames import FrameReport, FrameRow

ROWS = [
    FrameRow(0, 0.0, True, True, 0.5, None, None),
    FrameRow(1, 0.04, False, True, -0.25, 3.0, 0.001),
    FrameRow(2, 0.08, True, False, None, 5.0, 0.003),
]


def test_rows_and_summary_in_both_files(tmp_path: Path) -> None:
    with FrameReport(tmp_path / "r.json", tmp_path / "r.csv") as report:
        for row in ROWS:
            report.add(row)
        summary = report.finish({"source_face_found": True})
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["summary"] == summary
    assert summary == {
        "frames": 3,
        "frames_without_person": 1,
        "frames_without_face": 1,
        "frames_with_repaired_pose": 0,
        "cuts": 0,
        "frames_tried_again": 0,
        "face_similarity_mean": 0.125,
        "face_similarity_min": -0.25,
        "face_similarity_max": 0.5,
        "stability_mean": 4.0,
        "warp_error_mean": 0.002,
        "source_face_found": True,
    }
    assert content["frames"][1] == {
        "index": 1,
        "time": 0.04,
        "person_found": False,
        "face_found": True,
        "face_similarity": -0.25,
        "stability": 3.0,
        "warp_error": 0.001,
        "pose": "seen",
        "cut": False,
        "tries": 1,
        "tried_similarities": "",
    }
    assert content["frames"][2]["face_similarity"] is None
    with (tmp_path / "r.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["face_similarity"] for row in table] == ["0.5", "-0.25", ""]
    assert [row["stability"] for row in table] == ["", "3.0", "5.0"]
    assert [row["person_found"] for row in table] == ["true", "false", "true"]


def test_without_any_face_nothing_is_zero(tmp_path: Path) -> None:
    with FrameReport(tmp_path / "r.json", tmp_path / "r.csv") as report:
        report.add(ROWS[2])
        summary = report.finish({})
    assert summary["face_similarity_mean"] is summary["face_similarity_min"] is summary["face_similarity_max"] is None


def test_stages_add_up_and_events_come_once() -> None:
    told: list[Event] = []
    stages = Stages(on_event=told.append)
    for _ in range(2):
        with stages.timed("a"):
            pass
        stages.emit(Event("kind", "text"))
    assert told == stages.events == [Event("kind", "text")]
    assert set(stages.rounded_seconds()) == {"a", "total"}
