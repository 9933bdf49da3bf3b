"""The interface of DensePose estimators, and loading one by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import BodyMotion
from mcld_anim.core.arrays import AnySizePicture, Box, Iuv, Picture
from mcld_anim.core.errors import UsageError
from mcld_anim.pose.iuv_picture import iuv_box

SHOWN_SIDE = 320
"""Longer side, in pixels, at which `EstimatedBody.shown` looks."""


@dataclass(frozen=True, eq=False)
class EstimatedBody:
    """The body fitted to one person in a picture."""

    motion: BodyMotion  # one frame
    hidden: str  # sides ("L", "R") whose forearm and hand are not seen
    matte: UInt8[np.ndarray, "height width"]  # share of the person in each pixel, 0..255
    others: UInt8[np.ndarray, "height width"]  # share of everybody else who was found

    @property
    def shown(self) -> float:
        """Share of the body inside the picture that the matte shows: less where it is hidden behind something."""
        motion = self.motion.scaled(min(1.0, SHOWN_SIDE / max(self.motion.size)))
        body = BodyPainter(motion.shape).drawn(motion, 0, self.hidden).person
        matte = cv2.resize(self.matte, motion.size[::-1], interpolation=cv2.INTER_AREA)
        return int(np.count_nonzero(body & (matte > 127))) / max(int(np.count_nonzero(body)), 1)


@dataclass(frozen=True, eq=False)
class PoseEstimate:
    """One person in a picture."""

    iuv: Iuv
    """At the picture's size; 0 outside this person."""
    box: Box
    score: float
    """The estimator's confidence, 0..1."""
    body: EstimatedBody | None = None
    """The fitted body, by estimators that fit one."""

    @property
    def area(self) -> int:
        """Number of person pixels."""
        return int(np.count_nonzero(self.iuv[..., 0]))


@runtime_checkable
class PoseBackend(Protocol):
    """A DensePose estimator, without state from call to call."""

    @property
    def name(self) -> str:
        """Its name for `--densepose`."""

    def estimate(self, pictures: Sequence[AnySizePicture]) -> list[list[PoseEstimate]]:
        """All people in each picture (H, W, 3) uint8 RGB, the largest first; [] if there are none. Sizes may differ."""


def load_pose_backend(name: str, device: torch.device | str = "cpu", weights: Path | None = None) -> PoseBackend:
    """Load an estimator: "tiny" is embedded, the others need pulled weights."""
    if name == "tiny":
        from mcld_anim.pose.tiny import load_tiny_pose_backend

        return load_tiny_pose_backend(device=device, weights=weights)
    if name == "detectron2":
        from mcld_anim.pose.detectron2_backend import load_detectron2_backend

        return load_detectron2_backend(weights, device)
    if name == "body":
        from mcld_anim.pose.body_backend import load_body_backend

        return load_body_backend()
    if name == "torchscript":
        from mcld_anim.pose.torchscript_backend import load_torchscript_backend

        return load_torchscript_backend(weights, device)
    raise UsageError(
        f"--densepose {name} is not known: choose tiny, body, detectron2, torchscript or the path of an IUV sequence"
    )


def estimate_of(iuv: Iuv, score: float) -> PoseEstimate | None:
    """An estimate with the box of its IUV; None without a person."""
    box = iuv_box(iuv)
    return None if box is None else PoseEstimate(iuv, box, score)


def largest_first(estimates: Iterable[PoseEstimate]) -> list[PoseEstimate]:
    """The people of one picture by falling area, from left to right at equal areas."""
    return sorted(estimates, key=lambda one: (-one.area, one.box))


def largest_iuv(backend: PoseBackend, picture: Picture) -> Iuv:
    """The IUV of the largest person in a picture; all 0 if there is none."""
    (people,) = backend.estimate([picture])
    return people[0].iuv if people else np.zeros_like(picture)
