"""The page as a file, and `mcld-anim report`: text is escaped, and unusable inputs are refused."""

from __future__ import annotations

import base64
import csv
import json
import re
from fractions import Fraction
from pathlib import Path
from urllib.parse import unquote

import cv2
import numpy as np
import pytest

from mcld_anim.core.errors import OutputError, PoseError, UsageError
from mcld_anim.core.events import Event
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.extract import ReportOptions
from mcld_anim.pose.iuv_file import iuv_writer
from mcld_anim.report.frames import FrameReport, FrameRow
from mcld_anim.report.page import Page, write_page
from mcld_anim.report.thumbnails import KEPT, Thumbnails
from mcld_anim.run.report import Estimators, report
from mcld_anim.source.face import Face
from mcld_anim.synthetic.person import Rendering

NASTY = "</script><script>alert(1)</script><!--data--> \"'"


def make_page(folder: Path, video: Path | None) -> str:
    """The content of a page of three frames in which every text needs escaping."""
    with FrameReport(folder / "r.json", folder / "r.csv") as report:
        for index in range(3):
            report.add(FrameRow(index, index / 10, index != 1, True, 0.5 + index / 10, 2.0 if index else None, 0.1))
        events = [{"kind": "k", "message": NASTY}]
        summary = report.finish({"events": events, "face_threshold": 0.4})
    thumbnails = Thumbnails(3, np.zeros((20, 20, 3), np.uint8), None)
    page = Page(NASTY, NASTY, video, NASTY, Fraction(10), thumbnails, summary, {NASTY: {NASTY: NASTY, "n": 1}})
    write_page(folder / "r.report.html", folder / "r.csv", page)
    return (folder / "r.report.html").read_text("utf-8")


def test_no_text_breaks_out_of_its_place(tmp_path: Path) -> None:
    text = make_page(tmp_path, None)
    assert text.count("<script") == 2
    assert "alert(1)</script>" not in text
    found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert data["columns"][:4] == ["index", "time", "person_found", "face_found"]
    assert [row[2] for row in data["rows"]] == [True, False, True]
    assert [row[5] for row in data["rows"]] == [None, 2.0, 2.0]


def test_the_video_inside_is_the_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = tmp_path / "v.mp4"
    content = np.random.default_rng(0).integers(0, 256, 2_000_001).astype(np.uint8).tobytes()
    video.write_bytes(content)
    found = re.search(r"data:video/mp4;base64,([^\"]*)", make_page(tmp_path, video))
    assert found is not None
    assert base64.b64decode(found[1], validate=True) == content
    monkeypatch.setattr("mcld_anim.report.page.MOST_EMBEDDED", 100)
    text = make_page(tmp_path, video)
    assert "data:video" not in text
    assert "must lie beside this page" in text
    page_name = re.search(r'src="([^"]*)"></video>', text)
    assert page_name is not None
    assert unquote(page_name[1]) == NASTY
    assert not set(page_name[1]) & set("<>#? '")


def test_thumbnails_are_few_apart_and_the_right_ones() -> None:
    frames, picture = 1000, np.zeros((20, 20, 3), np.uint8)
    values = np.sin(np.arange(frames) / 40) * 0.4 + np.arange(frames) / 10_000
    face = Face(np.ones(3, np.float32), (2.0, 2.0, 9.0, 9.0))
    thumbnails = Thumbnails(frames, picture, face)
    for index, value in enumerate(values):
        row = FrameRow(index, index / 25, True, True, float(value), 3.0 if index == 500 else 1.0, 0.0)
        thumbnails.add(row, picture, face.box)
    for kept, best in ((thumbnails.best(), values.max()), (thumbnails.worst(), values.min())):
        assert len(kept) == KEPT
        assert kept[0].value == pytest.approx(best)
        places = sorted(one.index for one in kept)
        assert min(np.diff(places)) > 5
    assert thumbnails.changes()[0].index == 500
    assert thumbnails.source_face is not None


def test_the_source_face_is_cut_out_of_the_picture_it_was_found_in() -> None:
    photo, crop = np.zeros((80, 60, 3), np.uint8), np.full((40, 40, 3), 200, np.uint8)
    face = Face(np.ones(3, np.float32), (2.0, 2.0, 12.0, 12.0))
    shown = cv2.imdecode(np.frombuffer(Thumbnails(1, photo, face, crop).source_face, np.uint8), cv2.IMREAD_COLOR)
    assert shown.min() > 150
    own = cv2.imdecode(np.frombuffer(Thumbnails(1, photo, face).source_face, np.uint8), cv2.IMREAD_COLOR)
    assert own.max() < 50


def test_a_report_on_any_video(page: Path) -> None:
    assert sorted(path.name for path in page.parent.iterdir()) == [
        "clip.report.csv",
        "clip.report.html",
        "clip.report.json",
    ]
    with (page.parent / "clip.report.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    report = json.loads((page.parent / "clip.report.json").read_text())
    assert len(rows) == len(report["frames"]) == 11
    assert all(-1 <= float(row["face_similarity"]) <= 1 for row in rows)
    assert all(0 < float(row["stability"]) < 60 for row in rows[1:])
    assert report["summary"]["densepose_backend"] == "tiny"
    assert report["summary"]["warp_error_mean"] > 0


def test_poses_from_a_file_and_frames_without_a_person(
    tmp_path: Path, media: Path, dance: list[Rendering], small_models: LoadedModels
) -> None:
    estimators = Estimators(small_models.pose_backend, small_models.face_backend)
    with iuv_writer(tmp_path / "poses.zip", Fraction(10)) as writer:
        for one in dance:
            writer.write(one.iuv)
    paths = {"video": media / "dance.mp4", "source": media / "person.png"}
    request = ReportOptions(**paths, output=tmp_path / "given.report.html", densepose=str(tmp_path / "poses.zip"))
    report(request, estimators)
    assert json.loads((tmp_path / "given.report.json").read_text())["summary"]["frames_without_person"] == 0
    told: list[Event] = []
    paths["video"] = media / "room.mp4"
    report(ReportOptions(**paths, output=tmp_path / "room.report.html"), estimators, on_event=told.append)
    summary = json.loads((tmp_path / "room.report.json").read_text())["summary"]
    assert (summary["frames_without_person"], summary["face_similarity_mean"], summary["stability_mean"]) == (
        5,
        None,
        None,
    )
    assert [event.kind for event in told] == ["person_missing"]


def test_what_cannot_be_reported_is_refused(tmp_path: Path, media: Path, small_models: LoadedModels) -> None:
    estimators = Estimators(small_models.pose_backend, small_models.face_backend)
    with pytest.raises(UsageError, match=r"\.report\.html"):
        ReportOptions(video=media / "dance.mp4", source=media / "person.png", output=tmp_path / "x.html")
    with pytest.raises(PoseError, match="--source"):
        report(
            ReportOptions(video=media / "dance.mp4", source=media / "room.png", output=tmp_path / "x.report.html"),
            estimators,
        )
    (tmp_path / "x.report.csv").write_text("precious")
    with pytest.raises(OutputError, match="--overwrite"):
        report(
            ReportOptions(video=media / "dance.mp4", source=media / "person.png", output=tmp_path / "x.report.html"),
            estimators,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["x.report.csv"]
