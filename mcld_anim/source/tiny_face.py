"""The embedded face embedder: a small network on a crop located by the IUV of the head.

It was trained on rendered people and is not suited to photographs.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from mcld_anim.core.arrays import Box, Iuv, Picture
from mcld_anim.core.device import one_thread
from mcld_anim.core.pixels import to_signed
from mcld_anim.pose.backends import PoseBackend, largest_iuv, load_pose_backend
from mcld_anim.source.face import COSINE_SCALE, Face
from mcld_anim.weights.strict import load_strictly
from mcld_anim.weights.table import EMBEDDED_FOLDER
from mcld_anim.weights.trained import read_weights

CROP_SIZE = 64
"""Side of the network's input, in pixels."""
EMBEDDING_SIZE = 128
RIGHT_HEAD, LEFT_HEAD = 23, 24
"""Parts of the head, which meet in the middle of the face, at U = 1 of the right one and U = 0 of the left one."""
FACE_DEPTH = 0.5
"""Extent of the face in U from that seam: half-way round to the back of the head, between cheeks and ears."""
LEAST_PIXELS = 60
"""Least number of face pixels; fewer, about 8 x 8, identify nobody."""
LEAST_FACE_SHARE = 0.4
"""Least share of face in the head's pixels; with less the head is seen from behind."""
CROP_MARGIN = 1.35
"""Side of the crop, in longer sides of the face's box, to include brow, chin and some hair."""


class FaceEmbedder(nn.Module):
    """Crops (B, 3, 64, 64) in [-1, 1] -> embeddings (B, 128)."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 128)) -> None:
        super().__init__()
        before = (3, *widths[:-1])
        self.body = nn.Sequential(*(_halve(a, b) for a, b in zip(before, widths, strict=True)))
        cells = (CROP_SIZE // 2 ** len(widths)) ** 2
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(widths[-1] * cells, EMBEDDING_SIZE),
            nn.BatchNorm1d(EMBEDDING_SIZE),
        )

    def forward(self, crops: Float[Tensor, "batch 3 64 64"]) -> Float[Tensor, "batch 128"]:
        features: Tensor = self.head(self.body(crops))
        return features


class TinyFaceBackend:
    """The face of an IUV's person, by the embedded network."""

    name = "tiny"
    scale = COSINE_SCALE

    def __init__(self, network: FaceEmbedder, threshold: float, device: torch.device | str = "cpu") -> None:
        self.network = network.eval().requires_grad_(False).to(device)
        self.threshold = threshold
        self.device = torch.device(device)

    @cached_property
    def _pose_backend(self) -> PoseBackend:
        """The embedded pose estimator, for pictures that come without an IUV; loaded once."""
        return load_pose_backend("tiny", self.device)

    def largest(self, picture: Picture, iuv: Iuv | None = None) -> Face | None:
        """The face of the person of `iuv` (H, W, 3) in a picture (H, W, 3); the IUV is estimated if not given."""
        box = face_box(largest_iuv(self._pose_backend, picture) if iuv is None else iuv)
        if box is None:
            return None
        crop = torch.from_numpy(face_crop(picture, box)).to(self.device).permute(2, 0, 1)[None].float()
        with torch.inference_mode(), one_thread():
            embedding = self.network(to_signed(crop))[0]
        return Face(embedding.cpu().numpy().astype(np.float32), box)


def load_tiny_face_backend(device: torch.device | str = "cpu", weights: Path | None = None) -> TinyFaceBackend:
    """The embedded embedder, or one with the weights of a training."""
    path = weights or EMBEDDED_FOLDER / "face.safetensors"
    tensors, _ = read_weights(path)
    threshold = tensors.pop("threshold", None)
    network = FaceEmbedder()
    load_strictly(network, tensors, str(path), remedy="give a face embedder, as `mcld-anim train face` writes it")
    return TinyFaceBackend(network, 0.5 if threshold is None else float(threshold), device)


def face_box(iuv: Iuv) -> Box | None:
    """The square crop around the face of an IUV (H, W, 3); None without a face or from behind."""
    rows, columns = np.nonzero((iuv[..., 0] == RIGHT_HEAD) | (iuv[..., 0] == LEFT_HEAD))
    part, u = iuv[rows, columns, 0], iuv[rows, columns, 1] / 255
    face = np.where(part == RIGHT_HEAD, u > 1 - FACE_DEPTH, u < FACE_DEPTH)
    if face.sum() < LEAST_PIXELS or face.sum() < LEAST_FACE_SHARE * len(face):
        return None
    rows, columns = rows[face], columns[face]
    # Percentiles, so that stray pixels of an estimated IUV do not move the crop.
    top, bottom = np.percentile(rows, (2, 98))
    left, right = np.percentile(columns, (2, 98))
    bottom, right = bottom + 1, right + 1  # a pixel is one wide
    side = CROP_MARGIN * max(bottom - top, right - left)
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    return float(x), float(y), float(x + side), float(y + side)


def face_crop(picture: Picture, box: Box) -> UInt8[np.ndarray, "64 64 3"]:
    """The square `box` of a picture as (64, 64, 3) uint8; the picture's edge is repeated outside it."""
    x0, y0, x1, _ = box
    side = x1 - x0
    if side > 2 * CROP_SIZE:  # area averaging, because warping alone would alias
        shrink = CROP_SIZE / side
        small = (max(round(picture.shape[1] * shrink), 1), max(round(picture.shape[0] * shrink), 1))
        picture = np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
        x0, y0, side = x0 * shrink, y0 * shrink, side * shrink
    scale = CROP_SIZE / side
    matrix = np.array([[scale, 0, (0.5 - x0) * scale - 0.5], [0, scale, (0.5 - y0) * scale - 0.5]], np.float64)
    size = (CROP_SIZE, CROP_SIZE)
    cut = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cut, np.uint8)


def _halve(before: int, after: int) -> nn.Sequential:
    """Two normalised convolutions; the first halves height and width."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.PReLU(after),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.PReLU(after),
    )
