"""What every DensePose estimator offers, and the way to get one by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from mcld_anim.core.arrays import AnySizePicture, Box, Iuv, Picture
from mcld_anim.core.errors import UsageError


@dataclass(frozen=True, eq=False)
class PoseEstimate:
    """One person in a picture."""

    iuv: Iuv
    """As large as the picture; all 0 where this person is not."""
    box: Box
    """Around the person."""
    score: float
    """How certain the estimator is that this is a person, 0..1."""

    @property
    def area(self) -> int:
        """Pixels that show the person."""
        return int(np.count_nonzero(self.iuv[..., 0]))


@runtime_checkable
class PoseBackend(Protocol):
    """A DensePose estimator; it holds no state that one call leaves for the next."""

    @property
    def name(self) -> str:
        """As in `--densepose`."""

    def estimate(self, pictures: Sequence[AnySizePicture]) -> list[list[PoseEstimate]]:
        """Everybody in each picture (H, W, 3) uint8 RGB, the largest first; [] for nobody. Sizes may differ."""


def load_pose_backend(name: str, device: torch.device | str = "cpu", weights: Path | None = None) -> PoseBackend:
    """The estimator called `name`: "tiny" is embedded, "detectron2" and "torchscript" need pulled weights."""
    if name == "tiny":
        from mcld_anim.pose.tiny import load_tiny_pose_backend

        return load_tiny_pose_backend(device=device, weights=weights)
    if name == "detectron2":
        from mcld_anim.pose.detectron2_backend import load_detectron2_backend

        return load_detectron2_backend(weights, device)
    if name == "torchscript":
        from mcld_anim.pose.torchscript_backend import load_torchscript_backend

        return load_torchscript_backend(weights, device)
    raise UsageError(
        f"--densepose {name} is not known: choose tiny, detectron2, torchscript or the path of an IUV sequence"
    )


def iuv_box(iuv: Iuv) -> Box | None:
    """The smallest box around the person of an IUV, None where there is none."""
    inside = iuv[..., 0] > 0
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def estimate_of(iuv: Iuv, score: float) -> PoseEstimate | None:
    """An estimate whose box is taken from the IUV itself; None where it shows nobody."""
    box = iuv_box(iuv)
    return None if box is None else PoseEstimate(iuv, box, score)


def largest_first(estimates: Iterable[PoseEstimate]) -> list[PoseEstimate]:
    """The people of one picture by the pixels that show them; the leftmost first where those are as many."""
    return sorted(estimates, key=lambda one: (-one.area, one.box))


def largest_iuv(backend: PoseBackend, picture: Picture) -> Iuv:
    """The IUV of the largest person in a picture; all 0 where there is nobody."""
    (people,) = backend.estimate([picture])
    return people[0].iuv if people else np.zeros_like(picture)
