"""The embedded DensePose estimator: find the person in the whole picture, then look again at close range."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional

from mcld_anim.arrays import PART_COUNT, Iuv, Picture
from mcld_anim.errors import WeightsError
from mcld_anim.pose.backends import Box, PoseEstimate, estimate_of, iuv_box
from mcld_anim.pose.tiny_network import INPUT_SIZE, DensePoseMaps, TinyDensePose, TinyDensePoseOptions, chosen_uv
from mcld_anim.weights.table import EMBEDDED_FOLDER
from mcld_anim.weights.trained import read_weights

BATCH = 8
MARGIN = 1.2
"""Side of the close-up, in sides of the square around the person found."""
CLOSE_ENOUGH = 0.8
"""Of the whole picture's side: a close-up at least as large would show nothing new."""
LEAST_AREA = 0.003
"""Of what the network sees: a smaller patch is no person; standing, a fifth of its height covers 0.6 %."""
SUSPICION = 0.3
"""Probability of "person" above which a place is worth a closer look: one far away is seen dimly."""
SUSPECT_MARGIN = 3.0
"""As `MARGIN`, around a place where a person is only suspected: more of it than was seen may be there."""
SUSPECT_SHARE = 0.7
"""Of the square seen: a suspicion is not looked at in a larger close-up unless it is larger itself."""
LOOKS = 4
"""At most: the whole picture, twice around a suspicion, around the person."""
LEAST_CERTAINTY = 0.78
"""Mean probability of "person" over the patch that is required. 100 development people had 0.90 and more; of 165 scenes
without anybody, rendered and photographed, 7 had more."""
SEARCH_CERTAINTY = 0.82
"""The same when the picture is searched tile by tile, which gives chance a dozen tries: of the 165 scenes 10 had more.
Real people seen small have often no more than 0.85."""
COMPANION = 0.05
"""Of the largest patch: patches at least as large count as well (a forearm held before the body)."""


Square = tuple[float, float, float]
"""x, y of the upper left corner and side, in pixels of the picture; may reach beyond it."""


@dataclass(frozen=True)
class _Look:
    """What one square shows, on a grid of 256x256."""

    square: Square
    iuv: Iuv
    """All 0 where nobody is certain enough."""
    certainty: float
    suspect: Box | None
    """Around the place that most looks like a person, certain or not."""


_NOBODY = _Look((0.0, 0.0, 1.0), np.zeros((INPUT_SIZE, INPUT_SIZE, 3), np.uint8), 0.0, None)


class TinyDensePoseBackend:
    """IUV of the largest person in a picture by the embedded network."""

    name = "tiny"

    def __init__(self, network: TinyDensePose, device: torch.device | str = "cpu") -> None:
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = torch.device(device)

    def estimate(self, pictures: Sequence[Picture]) -> list[PoseEstimate]:
        """One estimate per picture (H, W, 3) uint8 RGB: the largest person, or none."""
        found = self._approach(pictures, [_whole(picture) for picture in pictures])
        for index, picture in enumerate(pictures):
            if not found[index].certainty:
                found[index] = self._search(picture) or found[index]
        return [
            estimate_of(_place(look.iuv, look.square, picture.shape[:2]), look.certainty)
            for picture, look in zip(pictures, found, strict=True)
        ]

    def _approach(self, pictures: Sequence[Picture], squares: Sequence[Square]) -> list[_Look]:
        """Look at a square of each picture and, where somebody may be there, closer and closer."""
        squares, seen = list(squares), [_NOBODY] * len(pictures)
        waiting = list(range(len(pictures)))
        for _ in range(LOOKS):
            looks = self._look([pictures[i] for i in waiting], [squares[i] for i in waiting])
            closer = {}
            for index, look in zip(waiting, looks, strict=True):
                seen[index] = look
                square = _close_up(look)
                if square is not None:
                    closer[index] = squares[index] = square
            waiting = list(closer)
        return seen

    def _search(self, picture: Picture) -> _Look | None:
        """Look for somebody who is too small in the whole picture: at each of its tiles; None for nobody."""
        tiles = _tiles(picture)
        looks = list(self._look([picture] * len(tiles), tiles))
        best = max(looks, key=lambda look: look.certainty * _parts_seen(look.iuv), default=_NOBODY)
        if best.certainty < SEARCH_CERTAINTY:
            return None
        square = _close_up(best)
        (close,) = (best,) if square is None else self._approach([picture], [square])
        return close if close.certainty else best

    def _look(self, pictures: Sequence[Picture], squares: Sequence[Square]) -> Iterator[_Look]:
        """What the network sees in each square of its picture."""
        for start in range(0, len(pictures), BATCH):
            batch = slice(start, start + BATCH)
            seen = np.stack([_cut(p, s) for p, s in zip(pictures[batch], squares[batch], strict=True)])
            tensor = torch.from_numpy(seen).to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
            with torch.inference_mode():
                maps = self.network(tensor)
            yield from _read(maps, squares[batch])


def load_tiny_pose_backend(device: torch.device | str = "cpu", weights: Path | None = None) -> TinyDensePoseBackend:
    """The embedded estimator, or one with the weights of a training."""
    path = weights or EMBEDDED_FOLDER / "densepose.safetensors"
    tensors, header = read_weights(path)
    try:
        with torch.device("meta"):
            network = TinyDensePose(TinyDensePoseOptions(**header["options"]))  # type: ignore[arg-type]
        network.load_state_dict(tensors, strict=True, assign=True)
    except (KeyError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{path} does not hold this DensePose network: {' '.join(str(error).split())}") from None
    return TinyDensePoseBackend(network, device)


def _whole(picture: Picture) -> Square:
    """The smallest square around a picture."""
    height, width = picture.shape[:2]
    side = float(max(height, width))
    return (width - side) / 2, (height - side) / 2, side


def _tiles(picture: Picture) -> list[Square]:
    """Squares as wide as the picture's shorter side, and half as wide, each half over its neighbours."""
    height, width = picture.shape[:2]
    tiles = []
    for side in (min(height, width), min(height, width) / 2):
        rows, columns = (np.linspace(0, length - side, round(2 * length / side) - 1) for length in (height, width))
        tiles += [(float(x), float(y), float(side)) for y in rows for x in columns]
    return tiles


def _parts_seen(iuv: Iuv) -> int:
    """How many parts cover a hundredth of the person or more: a box may pass for a torso, but has no feet."""
    areas = np.bincount(iuv[..., 0].ravel(), minlength=PART_COUNT + 1)[1:]
    return int((areas > 0.01 * areas.sum()).sum())


def _close_up(look: _Look) -> Square | None:
    """The square to look at next after what was seen; None where it is no use."""
    square = look.square
    certain = iuv_box(look.iuv)
    box = certain or look.suspect
    if box is None:
        return None
    scale = square[2] / INPUT_SIZE
    x0, y0, x1, y1 = (edge * scale for edge in box)
    side = MARGIN * max(x1 - x0, y1 - y0)
    if not certain:
        side = max(side, min(SUSPECT_MARGIN * max(x1 - x0, y1 - y0), SUSPECT_SHARE * square[2]))
    if side >= CLOSE_ENOUGH * square[2]:
        return None
    return square[0] + (x0 + x1 - side) / 2, square[1] + (y0 + y1 - side) / 2, side


def _cut(picture: Picture, square: Square) -> Picture:
    """The square of a picture as (256, 256, 3); what lies beyond the picture repeats its edge."""
    x, y, side = square
    scale = INPUT_SIZE / side
    height, width = picture.shape[:2]
    left, top = (int(np.clip(edge - 2, 0, length - 1)) for edge, length in ((x, width), (y, height)))
    picture = picture[top : math.ceil(y + side) + 2, left : math.ceil(x + side) + 2]  # the rest need not be shrunk
    x, y = x - left, y - top
    if scale < 1:  # warping alone would skip pixels
        shrink = max(int(1 / scale), 1)
        height, width = picture.shape[:2]
        small = (max(round(width / shrink), 1), max(round(height / shrink), 1))
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        across, down = small[0] / width, small[1] / height
        x, y, scale_x, scale_y = x * across, y * down, scale / across, scale / down
    else:
        scale_x = scale_y = scale
    # Pixel centres lie at half numbers: output (u + 0.5) = ((p + 0.5) - x) * scale.
    matrix = np.array([[scale_x, 0, (0.5 - x) * scale_x - 0.5], [0, scale_y, (0.5 - y) * scale_y - 0.5]], np.float64)
    cut = cv2.warpAffine(
        picture, matrix, (INPUT_SIZE, INPUT_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cut, np.uint8)


def _read(maps: DensePoseMaps, squares: Sequence[Square]) -> Iterator[_Look]:
    """What the network's maps say of each square; U and V are worked out where somebody is seen only."""
    logits = maps.parts.float()
    person = 1 - logits.softmax(1)[:, 0]
    parts = (logits[:, 1:].argmax(1) + 1) * (person > 0.5)
    for index, square in enumerate(squares):
        probability = person[index].cpu().numpy()
        kept = _largest_patch(parts[index].cpu().numpy() > 0)
        certainty = float(probability[kept].mean()) if kept.any() else 0.0
        iuv = _NOBODY.iuv
        if kept.mean() < LEAST_AREA or certainty < LEAST_CERTAINTY:
            certainty = 0.0
        else:
            iuv = _iuv(maps, index, parts[index]) * kept[..., None]
        suspect = _largest_patch(probability > SUSPICION).astype(np.uint8)
        yield _Look(square, iuv, certainty, iuv_box(np.repeat(suspect[..., None], 3, -1)))


def _iuv(maps: DensePoseMaps, index: int, parts: torch.Tensor) -> Iuv:
    """The IUV of one of the pictures, whose pixels' `parts` (256, 256) are known."""
    size = (INPUT_SIZE, INPUT_SIZE)
    u_maps, v_maps = (
        functional.interpolate(m[index : index + 1].float(), size, mode="bilinear", align_corners=False)
        for m in (maps.u, maps.v)
    )
    coordinates = (plane[0].clamp(0, 1) * 255 * (parts > 0) for plane in chosen_uv(u_maps, v_maps, parts[None]))
    return torch.stack([parts.float(), *coordinates], -1).round().to(torch.uint8).cpu().numpy()


def _largest_patch(inside: np.ndarray) -> np.ndarray:
    """Of a mask (H, W): its largest connected patch, and those not much smaller, as bool (H, W)."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    if count < 2:
        return np.zeros_like(inside)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    return np.isin(labels, 1 + np.flatnonzero(areas >= COMPANION * areas.max()))


def _place(iuv: Iuv, square: Square, shape: tuple[int, ...]) -> Iuv:
    """IUV of a square put where it belongs in a picture of `shape` (height, width), by the nearest cell."""
    x, y, side = square
    scale = INPUT_SIZE / side
    columns = np.floor((np.arange(shape[1]) + 0.5 - x) * scale).astype(int)
    rows = np.floor((np.arange(shape[0]) + 0.5 - y) * scale).astype(int)
    shown = ((rows >= 0) & (rows < INPUT_SIZE))[:, None] & ((columns >= 0) & (columns < INPUT_SIZE))
    placed = iuv[rows.clip(0, INPUT_SIZE - 1)[:, None], columns.clip(0, INPUT_SIZE - 1)]
    return np.asarray(placed * shown[..., None], np.uint8)
