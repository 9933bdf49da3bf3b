"""The embedded DensePose estimator: it finds people in the whole picture, then looks at each one close up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional

from mcld_anim.core.arrays import AnySizePicture, Box, Iuv, Picture
from mcld_anim.core.errors import UsageError, WeightsError
from mcld_anim.core.pixels import to_signed
from mcld_anim.options.load import from_mapping
from mcld_anim.pose.backends import PoseEstimate, estimate_of, largest_first
from mcld_anim.pose.iuv_picture import iuv_box
from mcld_anim.pose.people import Inside, largest_patch, parts_seen, people_in
from mcld_anim.pose.squares import Square, cut, grid, place, tiles, whole
from mcld_anim.pose.tiny_network import (
    INPUT_SIZE,
    DensePoseMaps,
    TinyDensePose,
    TinyDensePoseOptions,
    chosen_uv,
    seen_both_ways,
)
from mcld_anim.weights.strict import assign_strictly
from mcld_anim.weights.table import EMBEDDED_FOLDER
from mcld_anim.weights.trained import read_weights

SQUARES_PER_BATCH = 8
CLOSE_UP_SIDE = 1.2
"""Side of the close-up, in longer sides of the person's box."""
CLOSE_ENOUGH = 0.8
"""Side of a close-up, as a fraction of the square before, from which it would show nothing new."""
LEAST_AREA = 0.003
"""Least area of a person, as a fraction of the network's input. A standing person a fifth as high covers 0.6 %."""
SUSPICION = 0.3
"""Probability of "person" above which a place gets a closer look; distant people have low probabilities."""
SUSPECT_MARGIN = 3.0
"""Side of the close-up of a suspected person, in longer sides of the box; more of them may be there than was seen."""
SUSPECT_SHARE = 0.7
"""Limit of `SUSPECT_MARGIN`, as a fraction of the square before."""
LOOKS = 4
"""Most looks in a row: the whole picture, twice around a suspicion, around the person."""
LEAST_CERTAINTY = 0.78
"""Least mean probability of "person" over the patch. Rendered people have 0.92 or more in 99 of 100 views; false
detections occur in 4 % of empty scenes, generated and photographed (`mcld-anim synth densepose`)."""
SEARCH_CERTAINTY = 0.82
"""Least certainty in the search by tiles, whose dozen looks allow more false detections. Small real people often have
no more than 0.85."""
SAME = 0.5
"""Shared pixels, as a fraction of the smaller person, above which two detections show one person."""
SEARCH_SHARE = 0.5
"""Least rank of a person found by the search, as a fraction of the best rank."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """One person found in a look, on its grid of 256x256."""

    iuv: Iuv
    certainty: float

    @property
    def rank(self) -> float:
        """Certainty times visible parts, by which a search compares people."""
        return self.certainty * parts_seen(self.iuv[..., 0])


@dataclass(frozen=True, eq=False)
class _Look:
    """The result for one square, on a grid of 256x256."""

    square: Square
    people: list[_Seen]
    """The people who are certain enough, the largest first."""
    suspect: Box | None
    """Box around the largest place that may show a person, certain or not."""


@dataclass(frozen=True, eq=False)
class _Territory:
    """The places nearest to one of several people in a look."""

    square: Square
    owner: np.ndarray  # (256, 256), index of the nearest person
    number: int  # index of this territory's person

    def inside(self, square: Square) -> Inside:
        """The mask of this territory on the grid of another square; places outside the look count as inside."""
        owner = place((self.owner == self.number).astype(np.uint8)[..., None], self.square, *grid(square))
        known = place(np.ones((INPUT_SIZE, INPUT_SIZE, 1), np.uint8), self.square, *grid(square))
        return np.asarray((owner > 0) | (known == 0))[..., 0]


@dataclass(frozen=True, eq=False)
class _Task:
    """A square of a picture to look at."""

    picture: int
    square: Square
    territories: tuple[_Territory, ...] = ()
    """Territories that people must all lie in to count."""


class TinyDensePoseBackend:
    """IUV of all people in a picture, by the embedded network."""

    name = "tiny"

    def __init__(self, network: TinyDensePose, device: torch.device | str = "cpu") -> None:
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = torch.device(device)

    def estimate(self, pictures: Sequence[AnySizePicture]) -> list[list[PoseEstimate]]:
        """All people in each picture (H, W, 3) uint8 RGB, the largest first."""
        found = self._approach(pictures, [_Task(index, whole(picture)) for index, picture in enumerate(pictures)])
        for index, picture in enumerate(pictures):
            found[index] = found[index] or self._search(picture)
        return [_distinct(people) for people in found]

    def _approach(self, pictures: Sequence[AnySizePicture], tasks: list[_Task]) -> list[list[PoseEstimate]]:
        """Look at squares, then closer and closer where somebody may be; returns all people by picture."""
        found: list[list[PoseEstimate]] = [[] for _ in pictures]
        for looks_left in reversed(range(LOOKS)):
            closer: list[_Task] = []
            for task, look in zip(tasks, self._look(pictures, tasks), strict=True):
                for number, person in enumerate(look.people):
                    square = _close_up(look, iuv_box(person.iuv))
                    if square is None or not looks_left:
                        found[task.picture] += _placed(person, look.square, pictures[task.picture])
                    else:
                        closer.append(_Task(task.picture, square, (*task.territories, *_territory(look, number))))
                if not look.people and (square := _close_up(look, None)) is not None:
                    closer.append(_Task(task.picture, square, task.territories))
            tasks = closer
        return found

    def _search(self, picture: Picture) -> list[PoseEstimate]:
        """Look at every tile of a picture, for people who are too small in the whole picture."""
        looks = list(self._look([picture], [_Task(0, tile) for tile in tiles(picture)], both_ways=False))
        finds = sorted(((seen, look) for look in looks for seen in look.people), key=lambda find: -find[0].rank)
        if not finds or finds[0][0].certainty < SEARCH_CERTAINTY:
            return []
        kept: list[PoseEstimate] = []
        people: list[PoseEstimate] = []
        for seen, look in finds:
            coarse = _placed(seen, look.square, picture)
            likely = seen.certainty >= SEARCH_CERTAINTY and seen.rank >= SEARCH_SHARE * finds[0][0].rank
            if not likely or any(_shared(one, other) > SAME for one in coarse for other in kept):
                continue
            kept += coarse
            square = _close_up(look, iuv_box(seen.iuv))
            people += (self._approach([picture], [_Task(0, square)])[0] if square is not None else []) or coarse
        return people

    def _look(
        self, pictures: Sequence[AnySizePicture], tasks: Sequence[_Task], both_ways: bool = True
    ) -> Iterator[_Look]:
        """The network's results for the square of each task; with `both_ways` averaged with its mirror image."""
        for start in range(0, len(tasks), SQUARES_PER_BATCH):
            batch = tasks[start : start + SQUARES_PER_BATCH]
            seen = np.stack([cut(pictures[task.picture], task.square) for task in batch])
            tensor = to_signed(torch.from_numpy(seen).to(self.device).permute(0, 3, 1, 2).float())
            with torch.inference_mode():
                maps = seen_both_ways(self.network, tensor) if both_ways else self.network(tensor)
            yield from _read(maps, batch)


def load_tiny_pose_backend(device: torch.device | str = "cpu", weights: Path | None = None) -> TinyDensePoseBackend:
    """The embedded estimator, or one with the weights of a training."""
    path = weights or EMBEDDED_FOLDER / "densepose.safetensors"
    tensors, header = read_weights(path)
    try:
        with torch.device("meta"):
            network = TinyDensePose(from_mapping(TinyDensePoseOptions, header["options"], str(path)))
    except (KeyError, TypeError, UsageError) as error:
        raise WeightsError(f"{path} does not hold this DensePose network: {' '.join(str(error).split())}") from None
    assign_strictly(network, tensors, str(path), "give a DensePose network, as `mcld-anim train densepose` writes it")
    return TinyDensePoseBackend(network, device)


def _close_up(look: _Look, person: Box | None) -> Square | None:
    """The next square around a person, or around a suspicion (None); None if it would not be closer."""
    square, box = look.square, person or look.suspect
    if box is None:
        return None
    scale = square[2] / INPUT_SIZE
    x0, y0, x1, y1 = (edge * scale for edge in box)
    side = CLOSE_UP_SIDE * max(x1 - x0, y1 - y0)
    if not person:
        side = max(side, min(SUSPECT_MARGIN * max(x1 - x0, y1 - y0), SUSPECT_SHARE * square[2]))
    if side >= CLOSE_ENOUGH * square[2]:
        return None
    return square[0] + (x0 + x1 - side) / 2, square[1] + (y0 + y1 - side) / 2, side


def _territory(look: _Look, number: int) -> list[_Territory]:
    """The territory of a person in a look; none for a person who is alone."""
    if len(look.people) < 2:
        return []
    away = [cv2.distanceTransform((seen.iuv[..., 0] == 0).astype(np.uint8), cv2.DIST_L2, 3) for seen in look.people]
    return [_Territory(look.square, np.argmin(away, axis=0), number)]


def _read(maps: DensePoseMaps, tasks: Sequence[_Task]) -> Iterator[_Look]:
    """The looks that the network's maps show; U and V are computed only where there are people."""
    logits = maps.parts.float()
    person = 1 - logits.softmax(1)[:, 0]
    parts = (logits[:, 1:].argmax(1) + 1) * (person > 0.5)
    for index, task in enumerate(tasks):
        probability, labels = person[index].cpu().numpy(), parts[index].cpu().numpy().astype(np.uint8)
        for territory in task.territories:
            inside = territory.inside(task.square)
            labels, probability = labels * inside, probability * inside
        certain = [
            (inside, certainty)
            for inside in people_in(labels)
            if (certainty := float(probability[inside].mean())) >= LEAST_CERTAINTY and inside.mean() >= LEAST_AREA
        ]
        iuv = _iuv(maps, index, parts[index]) if certain else None
        people = [_Seen(iuv * inside[..., None], certainty) for inside, certainty in certain if iuv is not None]
        suspect = largest_patch(probability > SUSPICION).astype(np.uint8)
        yield _Look(task.square, people, iuv_box(np.repeat(suspect[..., None], 3, -1)))


def _iuv(maps: DensePoseMaps, index: int, parts: torch.Tensor) -> Iuv:
    """The IUV of one of the pictures, given its `parts` (256, 256)."""
    size = (INPUT_SIZE, INPUT_SIZE)
    u_maps, v_maps = (
        functional.interpolate(m[index : index + 1].float(), size, mode="bilinear", align_corners=False)
        for m in (maps.u, maps.v)
    )
    coordinates = (plane[0].clamp(0, 1) * 255 * (parts > 0) for plane in chosen_uv(u_maps, v_maps, parts[None]))
    return torch.stack([parts.float(), *coordinates], -1).round().to(torch.uint8).cpu().numpy()


def _placed(seen: _Seen, square: Square, picture: Picture) -> list[PoseEstimate]:
    """A person of a look as an estimate at picture size; none if the person lies outside the picture."""
    height, width = picture.shape[:2]
    estimate = estimate_of(place(seen.iuv, square, np.arange(height) + 0.5, np.arange(width) + 0.5), seen.certainty)
    return [] if estimate is None else [estimate]


def _distinct(people: list[PoseEstimate]) -> list[PoseEstimate]:
    """The people found in one picture, the largest first, without duplicates."""
    kept: list[PoseEstimate] = []
    for one in largest_first(people):
        if all(_shared(one, other) <= SAME for other in kept):
            kept.append(one)
    return kept


def _shared(one: PoseEstimate, other: PoseEstimate) -> float:
    """Shared pixels of two estimates, as a fraction of the smaller one."""
    both = (one.iuv[..., 0] > 0) & (other.iuv[..., 0] > 0)
    return float(both.sum() / max(1, min(one.area, other.area)))
