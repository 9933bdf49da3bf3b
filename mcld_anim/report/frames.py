"""The report beside a result: one row per frame as CSV and JSON, and a summary.

Both files are written row by row, so a report of 100,000 frames needs no more memory than one of ten.
"""

from __future__ import annotations

import csv
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TextIO

from mcld_anim.core.names import JSON_ERRORS
from mcld_anim.metrics.stability import Stability
from mcld_anim.source.face import Face

CHANGE_DIGITS, WARP_DIGITS = 4, 8
"""Decimals in the report, of texel change in grey levels and of the warp error in squared fractions of 255."""


@dataclass(frozen=True)
class FrameRow:
    """The measurements of one frame of the result."""

    index: int  # 0, 1, ...
    time: float  # in the driving video, in seconds
    person_found: bool  # the followed person, in the driving frame; False: the frame holds another frame's pose
    face_found: bool  # in the generated frame
    face_similarity: float | None  # to the source's face, cosine -1..1; None: one of the faces is missing
    stability: float | None  # mean texel change from the frame before, 0..255; None: nothing to compare with
    warp_error: float | None  # see `metrics.stability`, 0..1
    pose: str = "seen"  # "held": nobody found, a neighbour's; "replaced": an outlier; "filled": partly repaired
    cut: bool = False  # a new scene of the driving video begins here
    tries: int = 1  # number of syntheses of the frame, of which the best was kept
    tried_similarities: str = ""  # of every try in order if there were several; "-": no face was found


@dataclass
class FrameTotals:
    """Running totals of the rows, for the summary."""

    frames: int = 0
    without_person: int = 0
    without_face: int = 0
    repaired: int = 0
    cuts: int = 0
    tried_again: int = 0
    similarities: int = 0
    similarity_sum: float = 0.0
    similarity_least: float | None = None
    similarity_most: float | None = None
    stabilities: int = 0
    stability_sum: float = 0.0
    warp_error_sum: float = 0.0

    def add(self, row: FrameRow) -> None:
        """Count one more row."""
        self.frames += 1
        self.without_person += not row.person_found
        self.without_face += not row.face_found
        self.repaired += row.pose in ("replaced", "filled")
        self.cuts += row.cut
        self.tried_again += row.tries > 1
        if row.face_similarity is not None:
            value = row.face_similarity
            self.similarities += 1
            self.similarity_sum += value
            self.similarity_least = min(value, self.similarity_least if self.similarity_least is not None else value)
            self.similarity_most = max(value, self.similarity_most if self.similarity_most is not None else value)
        if row.stability is not None:
            self.stabilities += 1
            self.stability_sum += row.stability
            self.warp_error_sum += row.warp_error or 0.0

    def summary(self) -> dict[str, Any]:
        """The totals by their names in the report; a similarity that was never measured is null, not 0."""
        mean = self.similarity_sum / self.similarities if self.similarities else None
        return {
            "frames": self.frames,
            "frames_without_person": self.without_person,
            "frames_without_face": self.without_face,
            "frames_with_repaired_pose": self.repaired,
            "cuts": self.cuts,
            "frames_tried_again": self.tried_again,
            "face_similarity_mean": None if mean is None else round(mean, 6),
            "face_similarity_min": self.similarity_least,
            "face_similarity_max": self.similarity_most,
            "stability_mean": round(self.stability_sum / self.stabilities, 6) if self.stabilities else None,
            "warp_error_mean": round(self.warp_error_sum / self.stabilities, 8) if self.stabilities else None,
        }


class FrameReport:
    """Writes OUT.report.json and OUT.report.csv as frames are finished; a context manager."""

    def __init__(self, json_path: Path, csv_path: Path) -> None:
        self.totals = FrameTotals()
        self._json: TextIO = json_path.open("w", encoding="utf-8", errors=JSON_ERRORS)
        self._csv: TextIO = csv_path.open("w", encoding="utf-8", newline="")
        self._table = csv.DictWriter(self._csv, [field.name for field in fields(FrameRow)], lineterminator="\n")
        self._table.writeheader()
        self._json.write('{\n"frames": [')

    def __enter__(self) -> FrameReport:
        return self

    def __exit__(self, *_: object) -> None:
        self._json.close()
        self._csv.close()

    def add(self, row: FrameRow) -> None:
        """Write the next frame's row."""
        values = asdict(row)
        self._json.write((",\n" if self.totals.frames else "\n") + json.dumps(values))
        self._table.writerow({name: "" if value is None else _plain(value) for name, value in values.items()})
        self.totals.add(row)

    def finish(self, more: dict[str, Any]) -> dict[str, Any]:
        """Write the summary (the totals and `more`), and return it."""
        summary = {**self.totals.summary(), **more}
        self._json.write(f'\n],\n"summary": {json.dumps(summary, indent=2, ensure_ascii=False)}\n}}\n')
        return summary


def _plain(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value  # true and false as in the JSON


def frame_row(
    index: int,
    time: float,
    person_found: bool,
    face: Face | None,
    similarity: float | None,
    change: Stability | None,
) -> FrameRow:
    """The row of one frame from its measurements."""
    return FrameRow(
        index,
        time,
        person_found,
        face is not None,
        similarity,
        None if change is None else round(change.texel_change, CHANGE_DIGITS),
        None if change is None else round(change.warp_error, WARP_DIGITS),
    )
