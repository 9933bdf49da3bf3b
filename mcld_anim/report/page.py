"""OUT.report.html: the whole report as one self-contained page, made from the finished CSV row by row."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from mcld_anim.core.names import printable
from mcld_anim.report.thumbnails import Thumbnail, Thumbnails

MOST_EMBEDDED = 80_000_000
"""Size of the largest embedded video, in bytes. A larger one is linked, because browsers are slow with large pages."""

CHUNK = 3 * 2**18
"""Bytes encoded as base64 at a time; a multiple of three, so that the pieces join."""

METRICS = (
    ("frames", "Frames"),
    ("face_similarity_mean", "Face similarity, mean"),
    ("face_similarity_min", "Face similarity, lowest"),
    ("stability_mean", "Texel change, mean"),
    ("warp_error_mean", "Warp error, mean"),
    ("frames_without_person", "Frames without a person"),
    ("frames_without_face", "Frames without a face"),
    ("frames_with_repaired_pose", "Frames with a repaired pose"),
    ("frames_tried_again", "Frames tried again"),
)
"""The metrics of the summary that are shown, with their names on the page."""


@dataclass(frozen=True)
class Page:
    """The contents of the page beside the rows."""

    title: str
    origin: str  # one line on the subject of the report
    video: Path | None  # to play
    video_name: str  # its final name beside the page, if it is linked
    fps: Fraction
    thumbnails: Thumbnails
    summary: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]  # heading -> name -> value
    media_type: str = "video/mp4"  # of the video


def write_page(path: Path, rows_csv: Path, page: Page) -> None:
    """Write the page; `rows_csv` is the report's finished CSV."""
    assets = resources.files("mcld_anim.report") / "assets"
    linked = page.video is not None and page.video.stat().st_size > MOST_EMBEDDED
    note = f": {page.video_name} must lie beside this page" if linked else ""
    parts: dict[str, str | Callable[[TextIO], None]] = {
        "title": _text(page.title),
        "origin": _text(page.origin),
        "style": (assets / "report.css").read_text("utf-8"),
        "script": (assets / "report.js").read_text("utf-8"),
        "source": f'<img alt="The person of the source photo" src="{_jpeg(page.thumbnails.source)}">',
        "media": lambda file: _media(file, page, linked),
        "media_note": _text(note),
        "metrics": _metrics(page.summary),
        "thumbnails": _thumbnails(page.thumbnails),
        "events": "".join(f"<li>{_text(event['message'])}</li>" for event in page.summary.get("events", ())),
        "settings": "".join(_table(name, values) for name, values in page.settings.items()),
        "data": lambda file: _data(file, rows_csv, page),
    }
    with path.open("w", encoding="utf-8") as file:
        for number, piece in enumerate(re.split(r"<!--(\w+)-->", (assets / "report.html").read_text("utf-8"))):
            part = parts[piece] if number % 2 else piece
            if callable(part):
                part(file)
            else:
                file.write(part)


def _media(file: TextIO, page: Page, linked: bool) -> None:
    if page.video is None:
        file.write("<p>No video.</p>")
        return
    file.write('<video controls playsinline loop muted preload="auto" aria-label="The result" src="')
    if linked:
        file.write(quote(os.fsencode(page.video_name)))
    else:
        file.write(f"data:{page.media_type};base64,")
        with page.video.open("rb") as video:
            while chunk := video.read(CHUNK):
                file.write(base64.b64encode(chunk).decode())
    file.write('"></video>')


def _data(file: TextIO, rows_csv: Path, page: Page) -> None:
    """The rows as JSON, copied from the CSV one at a time."""
    with rows_csv.open(newline="", encoding="utf-8") as stream:
        table = csv.reader(stream)
        columns = next(table)
        head = {
            "fps": float(page.fps),
            "scale": page.summary.get("face_scale"),
            "threshold": page.summary.get("face_threshold"),
            "columns": columns,
        }
        file.write(_script_safe(json.dumps(head)[:-1]) + ', "rows": [')
        for number, row in enumerate(table):
            file.write((",\n" if number else "\n") + _script_safe(json.dumps([_value(cell) for cell in row])))
        file.write("\n]}")


def _value(cell: str) -> object:
    """The value of a CSV cell."""
    if cell in ("true", "false", ""):
        return {"true": True, "false": False, "": None}[cell]
    try:
        return int(cell)
    except ValueError:
        pass
    try:
        return float(cell)
    except ValueError:
        return cell


def _script_safe(text: str) -> str:
    """JSON in which nothing can end the script element that holds it."""
    return text.replace("<", "\\u003c")


def _metrics(summary: Mapping[str, Any]) -> str:
    shown = [(name, summary[key]) for key, name in METRICS if key in summary]
    return "".join(f"<div><dt>{escape(name)}</dt><dd>{_number(value)}</dd></div>" for name, value in shown)


def _number(value: object) -> str:
    if value is None:
        return "not measured"
    if not isinstance(value, float):
        return escape(str(value))
    return f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.2e}"


def _thumbnails(found: Thumbnails) -> str:
    kinds = (
        ("Faces most like the source", "Face similarity", found.best(), found.source_face),
        ("Faces least like the source", "Face similarity", found.worst(), found.source_face),
        ("Largest changes", "Texel change", found.changes(), None),
    )
    shown = [_board(*kind) for kind in kinds if kind[2]]
    if not shown:
        return ""
    return (
        '<section aria-labelledby="frames-title"><h2 id="frames-title">Frames worth a look</h2>'
        + "".join(shown)
        + "</section>"
    )


def _board(title: str, what: str, thumbnails: Sequence[Thumbnail], beside: bytes | None) -> str:
    items = []
    for one in thumbnails:
        source = "" if beside is None else f'<img alt="Source face" src="{_jpeg(beside)}">'
        picture = f'<img alt="{"Frame" if beside is None else "Generated face"}" src="{_jpeg(one.jpeg)}">'
        items.append(
            f'<li><button type="button" data-frame="{one.index}"><span class="pair">{source}{picture}</span>'
            f"Frame {one.index}: {what.lower()} {one.value:.3f}</button></li>"
        )
    return f'<h3>{escape(title)}</h3><ul class="thumbnails">{"".join(items)}</ul>'


def _table(heading: str, values: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{_text(name)}</th><td>{_text(_plain(value))}</td></tr>' for name, value in values.items()
    )
    return f"<details><summary>{_text(heading)}</summary><table>{rows}</table></details>"


def _text(value: object) -> str:
    """Text as HTML, names that are not UTF-8 included."""
    return escape(printable(value))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _jpeg(content: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(content).decode()
