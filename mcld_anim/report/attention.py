"""Attention maps as one picture: a row per frame, with the frame and a heat map over it for each condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from jaxtyping import Float

from mcld_anim.core.arrays import AnySizePicture, Picture

ORDER = ("face", "image", "texture")
"""Columns, as far as a model has the conditions."""
CAPTION = 24
"""Height of the titles, in pixels."""
FROM, TO = 2.0, 98.0
"""Percentiles of a condition's shares over all frames that are the coldest and the hottest colour."""
HEAT = 0.6
"""Opacity of the heat map."""

Map = Float[np.ndarray, "_height _width"]


def attention_picture(frames: Sequence[tuple[Picture, Mapping[str, Map]]]) -> AnySizePicture:
    """The picture of frames of one size, each with the map of every condition; titles give the range of its shares."""
    names = [name for name in ORDER if name in frames[0][1]]
    bounds = {name: np.percentile([maps[name] for _, maps in frames], (FROM, TO)) for name in names}
    rows = [
        np.hstack([picture, *(_hot(picture, maps[name], *bounds[name]) for name in names)]) for picture, maps in frames
    ]
    titles = ["frame", *(f"{name} {bounds[name][0]:.2f}-{bounds[name][1]:.2f}" for name in names)]
    width = frames[0][0].shape[1]
    caption = np.full((CAPTION, width * len(titles), 3), 255, np.uint8)
    for place, title in enumerate(titles):
        at = (place * width + 6, CAPTION - 8)
        cv2.putText(caption, title, at, cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.vstack([caption, *rows])


def _hot(picture: Picture, share: Map, low: float, high: float) -> Picture:
    height, width = picture.shape[:2]
    large = cv2.resize(share, (width, height), interpolation=cv2.INTER_CUBIC)
    level = ((large - low) / max(high - low, 1e-6)).clip(0, 1)
    colours = cv2.applyColorMap(np.rint(level * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return np.rint(picture * (1 - HEAT) + colours * HEAT).astype(np.uint8)
