"""The batch's page: a card for every row, from its record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcld_anim.batch.record import BatchRecord
from mcld_anim.batch.rows import Row
from mcld_anim.batch.thumbnail import FOLDER, thumbnail_path, write_thumbnail
from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import McldAnimError
from mcld_anim.core.outputs import OutputFiles
from mcld_anim.report.index_page import Card, write_index_page


def write_index(path: Path, rows: Sequence[Row], record: BatchRecord) -> None:
    """Write the page of these rows beside the record; thumbnails that are missing are made."""
    folder = path.parent
    for row in rows:
        made = record.rows[row.output]["status"] == "done"
        if made and not thumbnail_path(row.output, folder).exists():
            try:
                write_thumbnail(row, folder)
            except (McldAnimError, OSError):
                continue  # the card is shown without a picture
    cards = [_card(record.rows[row.output], row, folder) for row in rows]
    with durable_file(path, overwrite=True) as partial:
        write_index_page(partial, record.path.name, cards)


def _card(entry: dict[str, Any], row: Row, folder: Path) -> Card:
    done, output = entry["status"] == "done", row.output
    summary = entry.get("summary", {})
    files = OutputFiles(Path(output))
    names = {"result": files.result, "report": files.report_html, "record": files.run_json}
    if files.report_html not in files.all:
        names["report"] = files.report_json
    options = row.options
    return Card(
        title=output,
        origin=f"{options.source.name}, {options.inputs[1 if options.precomputed is None else 2].name}",
        status=entry["status"],
        thumbnail=f"{FOLDER}/{output}.jpg" if done and thumbnail_path(output, folder).exists() else None,
        similarity=summary.get("face_similarity_mean"),
        least_similarity=summary.get("face_similarity_min"),
        frames=summary.get("frames"),
        seconds=entry.get("seconds"),
        events=len(summary.get("events", ())),
        links={name: place.as_posix() for name, place in names.items()} if done else {},
        error=entry.get("error"),
    )
