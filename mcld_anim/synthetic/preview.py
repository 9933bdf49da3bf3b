"""Contact sheet of one person."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mcld_anim.synthetic.faces import render_face_views
from mcld_anim.synthetic.person import Person, Picture
from mcld_anim.synthetic.views import render_views

PREVIEW_VIEWS = 5


def iuv_colours(iuv: Picture) -> Picture:
    """IUV (S, S, 3) as colours: part number in red (scaled by 10), U in green, V in blue."""
    colours = iuv.copy()
    colours[..., 0] *= 10
    return colours


def preview_sheet(seed: int, size: int = 256) -> Picture:
    """Contact sheet, uint8 (3 * size, 5 * size, 3) RGB: rows of photos, their IUVs, and close-ups of the head."""
    person = Person.from_seed(seed)
    views = render_views(person, PREVIEW_VIEWS, size)
    faces, _ = render_face_views(person, np.random.default_rng([seed, 5]), PREVIEW_VIEWS, size)
    rows = [[view.picture for view in views], [iuv_colours(view.iuv) for view in views], list(faces)]
    return np.concatenate([np.concatenate(row, 1) for row in rows], 0)


def write_preview(path: Path, seed: int, size: int = 256) -> Path:
    """Write `preview_sheet` as PNG; returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(preview_sheet(seed, size)).save(path)
    return path
