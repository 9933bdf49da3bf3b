"""`mcld-anim eval fill`: ways to fill the hole that a person leaves, on pictures whose background is known.

Pictures show no people. Two silhouettes of a rendered held-out person are cut out of each, one in full length, one half
body, and every method fills the hole. PSNR and SSIM favour a blur over a plausible texture in another place, so the
statistics of texture are compared as well (`texture_distance`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool
from numpy.lib.stride_tricks import sliding_window_view

from mcld_anim.core.arrays import AnySizePicture, Mask, Picture
from mcld_anim.core.errors import UsageError
from mcld_anim.core.pictures import check_picture, read_picture
from mcld_anim.core.push_pull import push_pull
from mcld_anim.core.stages import Progress, ignore_progress
from mcld_anim.metrics.frechet import frechet_distance
from mcld_anim.metrics.pictures import psnr, ssim
from mcld_anim.source.background import filled_background, person_mask
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED
from mcld_anim.synthetic.person import Person, draw_iuv
from mcld_anim.synthetic.scene import FRAME_HEIGHT, View
from mcld_anim.synthetic.views import draw_shots

SIZE = 512
"""Side of the pictures, pixels, as of the published model's frames: their middle squares are scaled down to it."""
HALF_BODY_ZOOM = 1.8
"""Of the half-body silhouette: the middle of the range that training shows."""
HALF_BODY_ABOVE = 0.05
"""Room above the head of the half-body silhouette, metres."""
INPAINT_RADIUS = 3
"""Neighbourhood of OpenCV's methods, pixels, as in its tutorial."""
PATCH = 7
"""Side of the patches whose statistics are compared, pixels."""


def smoothly(picture: Picture, hole: Mask) -> Picture:
    """The push-pull pyramid that frames are filled with."""
    filled = push_pull(picture.astype(np.float32), (~hole).astype(np.float32))
    return np.rint(filled).clip(0, 255).astype(np.uint8)


def _inpainted(method: int) -> Callable[[Picture, Mask], Picture]:
    return lambda picture, hole: np.asarray(cv2.inpaint(picture, hole.astype(np.uint8), INPAINT_RADIUS, method))


METHODS: dict[str, Callable[[Picture, Mask], Picture]] = {
    "push_pull": smoothly,
    "telea": _inpainted(cv2.INPAINT_TELEA),
    "navier_stokes": _inpainted(cv2.INPAINT_NS),
    "patches": filled_background,
}
"""Telea: fast marching (2004). Navier-Stokes: Bertalmio et al. (CVPR 2001). Patches: `core.patch_fill`."""


@dataclass(frozen=True)
class FillOptions:
    """What `eval fill` measures."""

    pictures: tuple[Path, ...]  # without people

    def __post_init__(self) -> None:
        if not self.pictures:
            raise UsageError("eval fill has no picture: name one or more without people")


def compare_fills(options: FillOptions, progress: Progress = ignore_progress) -> dict[str, Any]:
    """`pictures` and `holes`, their numbers, and by method the means over the holes.

    psnr (dB), ssim: inside the hole. texture: see `texture_distance`. seconds: of filling one hole. A mean is None
    where a perfect copy's PSNR makes it infinite.
    """
    for path in options.pictures:
        check_picture(path)
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
    total = 2 * len(options.pictures)
    for number, path in enumerate(options.pictures):
        truth = middle_square(read_picture(path))
        for size, hole in enumerate(person_holes(FIRST_EVALUATION_SEED + number, len(truth))):
            picture = np.where(hole[..., None], np.uint8(0), truth)  # nothing of the truth is left to copy
            for name, method in METHODS.items():
                began = time.perf_counter()
                filled = method(picture, hole)
                rows[name].append({"seconds": time.perf_counter() - began} | fill_metrics(filled, truth, hole))
            progress("holes", 2 * number + size + 1, total)
    return {"pictures": len(options.pictures), "holes": total} | {name: _means(found) for name, found in rows.items()}


def middle_square(picture: AnySizePicture) -> AnySizePicture:
    """The middle square (side, side, 3), scaled down to `SIZE` if it is larger."""
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    square = picture[top : top + side, left : left + side]
    return square if side <= SIZE else np.asarray(cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_AREA))


def person_holes(seed: int, size: int) -> Iterator[Bool[np.ndarray, "{size} {size}"]]:
    """The widened silhouette of the person of `seed` in full length, then half body, both as in a user's photo."""
    person = Person.from_seed(seed)
    (shot,) = draw_shots(person, 0, 1)
    middle = person.identity.stature / 2 + HALF_BODY_ABOVE - 0.5 * FRAME_HEIGHT / HALF_BODY_ZOOM
    for view in (shot.view, View(zoom=HALF_BODY_ZOOM, z=middle)):
        yield person_mask(draw_iuv(person.posed(shot.pose), view, size))


def fill_metrics(filled: Picture, truth: Picture, hole: Mask) -> dict[str, float]:
    """The metrics of one filled hole."""
    return {
        "psnr": psnr(filled, truth, hole),
        "ssim": ssim(filled, truth, hole),
        "texture": texture_distance(filled, truth, hole),
    }


def texture_distance(filled: Picture, truth: Picture, hole: Mask) -> float:
    """How far the hole's texture is from the truth's: 0 for equal statistics, 1 where all texture is lost.

    The Fréchet distance (Heusel et al. 2017, equation 6) between the patches of the two pictures centred in the hole,
    within one picture as in SIFID (Shaham et al., "SinGAN", ICCV 2019, section 3), on the luminance of patches of 7 x 7
    pixels less their mean in place of a network's features; as a share of the total variance of the truth's patches (at
    least one grey level squared). It does not ask where the texture is, and too much of it counts as too little does.
    """
    inner = np.zeros_like(hole)
    inner[PATCH // 2 : -(PATCH // 2), PATCH // 2 : -(PATCH // 2)] = True
    rows, columns = np.nonzero(hole & inner)
    patches = []
    for picture in (truth, filled):
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        windows = sliding_window_view(grey, (PATCH, PATCH))[rows - PATCH // 2, columns - PATCH // 2]
        patches.append(windows.reshape(len(rows), -1) - windows.mean((1, 2))[:, None])
    variance = float(np.var(patches[0], axis=0, ddof=1).sum())
    return frechet_distance(*patches) / max(variance, 1.0)


def _means(rows: list[dict[str, float]]) -> dict[str, float | None]:
    means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
    return {name: mean if math.isfinite(mean) else None for name, mean in means.items()}
