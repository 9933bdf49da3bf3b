"""Blending along the surface: each latent cell of frame i meets the cells of frame i-1 that show the same surface.

Two IUV say exactly where a piece of surface was one frame ago. There, at every sampling step, the estimate of the clean
latents is drawn towards the one before:

    x_i <- x_i + s w_i L_k(x'_{i-1} moved along the surface - x_i)

with x' the blended estimates of the frame before at the same step k, s the strength and w_i the share of a cell's
pixels whose place was found. L_k splits the difference into its mean over 3x3 cells, which always counts, and the rest,
which counts as far as the surface moved by whole cells, and in the last steps not at all: late detail is left alone.
Outside the person cells meet themselves in place; cells that the person has just left meet nothing, so no ghost stays.
Estimates are blended, not noisy latents: averaging those would take variance out of the noise.

Frame i looks at frame i-1 only, and `GuidedState` carries it over the border of batches and of resumed runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, pad

from mcld_anim.body.correspondence import correspond
from mcld_anim.core.arrays import Iuv, Latents
from mcld_anim.core.errors import UsageError

LEAST_SHARE, FULL_SHARE = 0.75, 1.0
"""Share of a cell's pixels that must have come from one place, for the least and for full blending: cells at a border
hold two things that move apart."""

CLEARANCE = 2
"""Cells around the person, in both frames, that count neither as person nor as background: hair and skirts hang
there, which the IUV does not cover."""

COARSE_FROM = 0.9
"""Of the sampling steps: from here on only the coarse part is blended."""


@dataclass(frozen=True)
class SurfaceLink:
    """Where the cells of a frame were in the frame before."""

    offset: Float[Tensor, "h w 2"]  # x, y in cells
    weight: Float[Tensor, "h w"]  # 0..1


@dataclass(frozen=True)
class GuidedState:
    """The last frame seen: its IUV and, per sampling step, its blended estimate (C, h, w)."""

    iuv: Iuv | None = None
    last: dict[int, Tensor] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """Named tensors for a file, so that a killed run resumes with the same blending."""
        named = {f"{step}.clean": clean for step, clean in self.last.items()}
        return named if self.iuv is None else {**named, "iuv": torch.from_numpy(self.iuv.copy())}

    @classmethod
    def from_tensors(cls, named: dict[str, Tensor]) -> GuidedState:
        """The state that `tensors` described."""
        last = {int(name.partition(".")[0]): clean for name, clean in named.items() if name != "iuv"}
        return cls(named["iuv"].numpy() if "iuv" in named else None, last)


def surface_link(iuv: Iuv, before: Iuv, latent_size: tuple[int, int]) -> SurfaceLink:
    """The link between two IUV of one size, a multiple of `latent_size` (h, w)."""
    known, stride = correspond(iuv, before), _stride(iuv, latent_size)
    moved = _cell_means(known.found[..., None], latent_size)[..., 0]
    offset = _cell_means(known.offset * known.found[..., None], latent_size) / np.maximum(moved, 1e-6)[..., None]
    person = _cell_means(((iuv[..., 0] > 0) | (before[..., 0] > 0))[..., None], latent_size)[..., 0] > 0
    disc = np.ones((2 * CLEARANCE + 1, 2 * CLEARANCE + 1), np.uint8)
    away = cv2.dilate(person.astype(np.uint8), disc) == 0
    weight = ((moved - LEAST_SHARE) / (FULL_SHARE - LEAST_SHARE)).clip(0, 1) + away
    offset = np.where(away[..., None], 0, offset / stride[::-1])
    return SurfaceLink(torch.from_numpy(offset.astype(np.float32)), torch.from_numpy(weight.astype(np.float32)))


def fetch(latents: Float[Tensor, "c h w"], offset: Float[Tensor, "h w 2"]) -> Float[Tensor, "c h w"]:
    """`latents` at each cell's place one frame ago, between cells by linear interpolation."""
    height, width = latents.shape[1:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([columns, rows], -1).to(offset) + offset
    scale = torch.tensor([width, height]).to(offset)
    grid = ((places + 0.5) / scale * 2 - 1)[None].to(latents)
    return grid_sample(latents[None], grid, mode="bilinear", padding_mode="border", align_corners=False)[0]


def same_phase(offset: Float[Tensor, "h w 2"]) -> Float[Tensor, "h w"]:
    """1 where a cell moved by whole cells, falling to 0 at half a cell: what lies between cells is another code."""
    return (1 - 2 * (offset - offset.round()).abs()).prod(-1)


def coarse(difference: Float[Tensor, "c h w"], weight: Float[Tensor, "h w"]) -> Float[Tensor, "c h w"]:
    """The mean of a difference over the 3x3 cells around each, counting each by its weight."""
    planes = torch.cat([difference * weight, weight[None]])[None]
    means = avg_pool2d(pad(planes, (1, 1, 1, 1)), 3, stride=1)[0]
    return means[:-1] / means[-1:].clamp(min=1e-6)


class GuidedBlending:
    """The blending of one clip over its batches: gives each batch the function that `denoise` calls at each step."""

    def __init__(self, strength: float, steps: int, state: GuidedState | None = None) -> None:
        if not 0 <= strength < 1:
            raise UsageError(f"blending strength {strength}: expected 0 (off) or more, and less than 1")
        self.strength, self.steps = strength, steps
        self.state = state or GuidedState()
        self._links: list[SurfaceLink | None] = []
        self._before: dict[int, list[Tensor | None]] = {}

    def batch(
        self, poses: Sequence[Iuv], latent_size: tuple[int, int], cuts: Sequence[bool] = ()
    ) -> Callable[[Latents, int], Latents]:
        """For the next consecutive frames of the clip, made for `poses`; one that `cuts` marks meets nothing."""
        before = [self.state.iuv, *poses[:-1]]
        before = [None if cut else old for old, cut in zip(before, cuts or [False] * len(poses), strict=True)]
        links = [
            None if old is None else surface_link(new, old, latent_size) for new, old in zip(poses, before, strict=True)
        ]
        last = dict(self.state.last)
        self.state = GuidedState(poses[-1], {})
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
            self.state.last[step] = blended[-1]
            return torch.stack(blended)

        return blend_step

    def again(self, place: int, steps: int) -> Callable[[Latents, int], Latents]:
        """For another try at frame `place` of the last batch, in `steps` steps; the frames after it stay as they are.

        It meets the first try of the frame before, so that the result does not depend on batches.
        """
        link = self._links[place]

        def blend_step(clean: Latents, step: int) -> Latents:
            previous = self._before[step * self.steps // steps][place]
            if link is None or previous is None:
                return clean
            return self._blended(clean[0], previous.to(clean), link, step * self.steps // steps)[None]

        return blend_step

    def _blended(self, frame: Tensor, previous: Tensor, link: SurfaceLink, step: int) -> Tensor:
        weight = link.weight.to(frame)
        difference = fetch(previous, link.offset.to(frame.device)) - frame
        rough = coarse(difference, weight)
        fine = same_phase(link.offset).to(frame) * (step < COARSE_FROM * self.steps)
        difference = rough + fine * (difference - rough)
        return frame + self.strength * weight * difference


def _stride(iuv: Iuv, latent_size: tuple[int, int]) -> np.ndarray:
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
    down, across = _stride(planes, latent_size)
    blocks = planes.astype(np.float32).reshape(latent_size[0], down, latent_size[1], across, planes.shape[-1])
    return np.asarray(blocks.mean((1, 3)))
