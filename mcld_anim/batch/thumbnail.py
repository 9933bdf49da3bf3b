"""The small picture of each result on the batch's page."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np

from mcld_anim.batch.rows import Row
from mcld_anim.core.arrays import AnySizePicture
from mcld_anim.core.durable import durable_file
from mcld_anim.core.pictures import read_picture
from mcld_anim.report.thumbnails import FRAME_SIDE, fit, to_jpeg
from mcld_anim.video.probe import probe
from mcld_anim.video.read import read_frames

FOLDER = "thumbnails"


def thumbnail_path(output: str, output_dir: Path) -> Path:
    """The thumbnail of a result of this name."""
    return output_dir / FOLDER / f"{output}.jpg"


def write_thumbnail(row: Row, output_dir: Path) -> None:
    """Write the frame in the middle of a row's result as JPEG, whose longer side is `FRAME_SIDE` pixels."""
    with durable_file(thumbnail_path(row.output, output_dir), overwrite=True) as partial:
        partial.write_bytes(to_jpeg(fit(_middle(row.files.result), FRAME_SIDE)))


def _middle(result: Path) -> AnySizePicture:
    if result.suffix.lower() == ".png":
        return read_picture(result)
    if result.suffix.lower() == ".zip":
        with zipfile.ZipFile(result) as archive:
            names = archive.namelist()
            content = np.frombuffer(archive.read(names[len(names) // 2]), np.uint8)
        picture = cv2.imdecode(content, cv2.IMREAD_COLOR)
        assert picture is not None  # we wrote it
        return np.ascontiguousarray(picture[..., ::-1])
    info = probe(result)
    middle = max(0.0, float(info.duration) / 2 - 1 / float(info.fps))
    return next(iter(read_frames(info, start=middle, max_frames=1, on_event=lambda event: None))).picture
