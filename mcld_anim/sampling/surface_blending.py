"""Blending along the surface: each latent cell of frame i with the cells of frame i-1 that show the same surface.

Two IUVs give the exact position of each surface point one frame ago. At every sampling step, the estimate of the clean
latents moves towards the one at that position:

    x_i <- x_i + s w_i L_k(x'_{i-1} moved along the surface - x_i)

with x' the blended estimates of the frame before at the same step k, s the strength and w_i the share of a cell's
pixels whose position was found. L_k splits the difference into its mean over 3x3 cells, which always counts, and the
rest, which counts as far as the surface moved by whole cells, and not at all in the last steps, which add fine detail.
Cells outside the person are blended in place. Cells that the person has just left are not blended, so no ghost remains.
Estimates are blended rather than noisy latents, because averaging those would lower the variance of the noise.

Frame i reads frame i-1 only, which `SurfaceBlending` carries across batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, pad

from mcld_anim.body.clip import ClipFrame, FrameLink
from mcld_anim.core.errors import UsageError
from mcld_anim.core.tensors import Latents, placed
from mcld_anim.sampling.denoise import StepBlending

LEAST_CELL_SHARE, FULL_CELL_SHARE = 0.75, 1.0
"""Share of a cell's pixels with a known position at which blending begins and is full. Cells at a border hold two
surfaces that move apart."""

CLEARANCE = 2
"""Width of the band around the person, in cells, that is neither person nor background in both frames: it holds hair
and skirts, which the IUV lacks."""

COARSE_FROM = 0.9
"""Fraction of the sampling steps after which only the coarse part is blended."""


@dataclass(frozen=True)
class CellLink:
    """The offsets from a frame's latent cells to their positions in the frame before."""

    offset: Float[Tensor, "h w 2"]  # x, y in cells
    weight: Float[Tensor, "h w"]  # 0..1

    def placed(self, like: Tensor) -> CellLink:
        """On the device of `like`, where every step reads it."""
        return CellLink(placed(self.offset, like), placed(self.weight, like))


def cell_link(link: FrameLink, latent_size: tuple[int, int]) -> CellLink:
    """The link of a frame whose IUV's size is a multiple of `latent_size` (h, w)."""
    iuv, before, known = link.iuv, link.before, link.correspondence
    stride = _stride(iuv, latent_size)
    moved = _cell_means(known.found[..., None], latent_size)[..., 0]
    offset = _cell_means(known.offset * known.found[..., None], latent_size) / np.maximum(moved, 1e-6)[..., None]
    person = _cell_means(((iuv[..., 0] > 0) | (before[..., 0] > 0))[..., None], latent_size)[..., 0] > 0
    disc = np.ones((2 * CLEARANCE + 1, 2 * CLEARANCE + 1), np.uint8)
    away = cv2.dilate(person.astype(np.uint8), disc) == 0
    weight = ((moved - LEAST_CELL_SHARE) / (FULL_CELL_SHARE - LEAST_CELL_SHARE)).clip(0, 1) + away
    offset = np.where(away[..., None], 0, offset / stride[::-1])
    return CellLink(torch.from_numpy(offset.astype(np.float32)), torch.from_numpy(weight.astype(np.float32)))


def fetch(latents: Float[Tensor, "c h w"], offset: Float[Tensor, "h w 2"]) -> Float[Tensor, "c h w"]:
    """`latents` sampled at each cell's position one frame ago, by bilinear interpolation."""
    height, width = latents.shape[1:]
    rows, columns = (torch.arange(side, device=offset.device, dtype=offset.dtype) for side in (height, width))
    x, y = columns + offset[..., 0] + 0.5, rows[:, None] + offset[..., 1] + 0.5
    grid = (torch.stack([x / width, y / height], -1) * 2 - 1)[None].to(latents)
    return grid_sample(latents[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]


def same_phase(offset: Float[Tensor, "*cells 2"]) -> Float[Tensor, "*cells"]:
    """1 where a cell moved by whole cells, falling to 0 at half a cell, because latents between cells differ."""
    return (1 - 2 * (offset - offset.round()).abs()).prod(-1)


def coarse(difference: Float[Tensor, "c h w"], weight: Float[Tensor, "h w"]) -> Float[Tensor, "c h w"]:
    """The weighted mean of a difference over the 3x3 cells around each cell."""
    planes = torch.cat([difference * weight, weight[None]])[None]
    means = avg_pool2d(pad(planes, (1, 1, 1, 1)), 3, stride=1)[0]
    return means[:-1] / means[-1:].clamp(min=1e-6)


class SurfaceBlending:
    """The blending of one clip, batch by batch, in `steps` sampling steps."""

    def __init__(self, strength: float, steps: int, latent_size: tuple[int, int], like: Tensor | None = None) -> None:
        """`like`: a float32 tensor on the device of the latents; None: the CPU."""
        if not 0 <= strength < 1:
            raise UsageError(f"blending strength {strength}: expected 0 (off) or more, and less than 1")
        self.strength, self.steps, self.latent_size = strength, steps, latent_size
        self._like = torch.empty(0) if like is None else like
        self._last: dict[int, Tensor] = {}  # the last frame's blended estimate (C, h, w) of each step
        self._start: dict[int, Tensor] = {}  # the same before the last batch
        self._links: list[CellLink | None] = []  # of the last batch's frames
        self._before: dict[int, list[Tensor | None]] = {}  # the frame before each of them, at each step

    def carried(self) -> dict[str, np.ndarray]:
        """What the next batch needs of the last one: each step's estimate of the last frame, (steps, C, h, w)."""
        if not self._last:
            return {}
        return {"clean": np.stack([self._last[step].cpu().numpy() for step in range(self.steps)])}

    def carry(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what another instance has `carried`."""
        self._last = {step: torch.tensor(clean) for step, clean in enumerate(arrays.get("clean", ()))}

    def batch(self, frames: Sequence[ClipFrame]) -> StepBlending:
        """For the next consecutive frames of the clip."""
        links = [None if f.link is None else cell_link(f.link, self.latent_size).placed(self._like) for f in frames]
        last, self._start, self._last = self._last, self._last, {}
        self._links, self._before = links, {}

        def blend_step(clean: Latents, step: int) -> Latents:
            blended: list[Tensor] = []
            previous = last.get(step)
            self._before[step] = [previous]
            for frame, link in zip(clean, links, strict=True):
                if link is not None and previous is not None:
                    frame = self._blended(frame, previous.to(frame), link, step)
                blended.append(frame)
                previous = frame
            self._before[step] += blended[:-1]
            self._last[step] = blended[-1]
            return torch.stack(blended)

        return StepBlending(clean=blend_step)

    def undo(self) -> None:
        """Forget the last batch, which failed."""
        self._last = self._start

    def again(self, place: int, steps: int) -> StepBlending:
        """For another attempt at frame `place` of the last batch, in `steps` steps.

        It is blended with the first attempt at the frame before, so the result does not depend on batches. The frames
        after it do not change.
        """
        link = self._links[place]

        def blend_step(clean: Latents, step: int) -> Latents:
            same = step * self.steps // steps  # the corresponding step of the first attempt
            previous = self._before[same][place]
            if link is None or previous is None:
                return clean
            return self._blended(clean[0], previous.to(clean), link, same)[None]

        return StepBlending(clean=blend_step)

    def _blended(self, frame: Tensor, previous: Tensor, link: CellLink, step: int) -> Tensor:
        weight = link.weight.to(frame)
        difference = fetch(previous, link.offset) - frame
        rough = coarse(difference, weight)
        fine = same_phase(link.offset).to(frame) * (step < COARSE_FROM * self.steps)
        difference = rough + fine * (difference - rough)
        return frame + self.strength * weight * difference


def _stride(iuv: np.ndarray, latent_size: tuple[int, int]) -> np.ndarray:
    """Pixels per cell, down and across."""
    stride = np.array(iuv.shape[:2]) // latent_size
    if tuple(stride * latent_size) != iuv.shape[:2]:
        raise UsageError(
            f"an IUV of {iuv.shape[0]}x{iuv.shape[1]} does not divide into {latent_size[0]}x{latent_size[1]} cells: "
            "resize the frame to the model's size first"
        )
    return stride


def _cell_means(planes: np.ndarray, latent_size: tuple[int, int]) -> np.ndarray:
    """(H, W, K) -> (h, w, K), the mean over each cell's pixels."""
    _stride(planes, latent_size)  # refuses what does not divide
    height, width = latent_size
    means = cv2.resize(planes.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    return means.reshape(height, width, -1)  # cv2 drops a single plane's axis
