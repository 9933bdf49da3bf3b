"""Causal blending of latents between neighbouring frames, in cells where both show the same surface.

At every sampling step the latents of frame i move towards the blended latents of frame i-1 at the same step. Only cells
with the same surface in both frames take part (background in both, or the same part at nearly the same U,V), so moving
limbs are not smeared. Because frame i only reads frame i-1, the result does not depend on the grouping into batches:
`BlendState` carries the last frame's latents of every step across batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from mcld_anim.body.clip import ClipFrame
from mcld_anim.core.arrays import Iuv
from mcld_anim.core.errors import UsageError
from mcld_anim.core.tensors import Latents, placed
from mcld_anim.sampling.denoise import StepBlending

MIXED_CELL = -1
"""Part code of a latent cell with pixels of more than one part, which is never blended."""

SAME_CELL = 0.06
"""Largest difference of U or V (in 0..1) at which two cells show the same surface.

One latent cell of a 256-pixel frame spans about a tenth of a limb's chart, so this is half a cell.
"""

CellCodes = Float[Tensor, "frames 3 height_8 width_8"]
"""Part (0 background, 1..24, -1 mixed), mean U and mean V in 0..1 of every latent cell, float32."""


@dataclass(frozen=True)
class BlendState:
    """The last frame seen, per sampling step: blended latents (C, h, w) and cell codes (3, h, w)."""

    last: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)


def cell_codes(iuvs: Sequence[Iuv], latent_size: tuple[int, int]) -> CellCodes:
    """The codes of every latent cell; the IUV's size must be a multiple of `latent_size` (h, w)."""
    height, width = latent_size
    codes = np.zeros((len(iuvs), 3, height, width), np.float32)
    for frame, iuv in enumerate(iuvs):
        rows, columns = iuv.shape[0] // height, iuv.shape[1] // width
        if rows * height != iuv.shape[0] or columns * width != iuv.shape[1]:
            raise UsageError(
                f"an IUV of {iuv.shape[0]}x{iuv.shape[1]} does not divide into {height}x{width} cells: "
                "resize the frame to the model's size first"
            )
        blocks = rearrange(iuv, "(h rows) (w columns) plane -> h w (rows columns) plane", h=height, w=width)
        part = blocks[..., 0].astype(np.int16)
        one_part = part.min(-1) == part.max(-1)
        codes[frame, 0] = np.where(one_part, part[..., 0], MIXED_CELL)
        codes[frame, 1:] = rearrange(blocks[..., 1:].mean(2), "h w plane -> plane h w") / 255.0
    return torch.from_numpy(codes)


def same_surface(
    cells: Float[Tensor, "3 h w"], previous: Float[Tensor, "3 h w"], tolerance: float = SAME_CELL
) -> Float[Tensor, "h w"]:
    """1 where both frames show the same surface or the background, else 0."""
    part, other = cells[0], previous[0]
    background = (part == 0) & (other == 0)
    near = ((cells[1:] - previous[1:]).abs() <= tolerance).all(0)
    return (background | ((part > 0) & (part == other) & near)).float()


def blend(
    latents: Latents,
    cells: CellCodes,
    state: BlendState,
    step: int,
    strength: float,
    tolerance: float = SAME_CELL,
    begins: Sequence[bool] = (),
) -> tuple[Latents, BlendState]:
    """z_i <- z_i + strength * same_i * (z'_{i-1} - z_i), with z' the blended latents of the frame before.

    `strength` in 0..1; 0 returns the latents unchanged. Frames marked in `begins`, like the first frame of a clip, have
    no frame before them. Meant for start noise shared by the frames: averaging independent noise would lower its
    variance.
    """
    if not 0 <= strength < 1:
        raise UsageError(f"blending strength {strength}: expected 0 (off) or more, and less than 1")
    if strength == 0 or len(latents) == 0:
        return latents, state
    previous = state.last.get(step)
    blended = []
    for frame, codes, begin in zip(latents, cells.to(latents.device), begins or [False] * len(latents), strict=True):
        if previous is not None and not begin:
            before, before_codes = previous[0].to(frame), previous[1].to(codes)
            weight = (strength * same_surface(codes, before_codes, tolerance)).to(frame.dtype)
            frame = frame + weight * (before - frame)
        blended.append(frame)
        previous = (frame, codes)
    assert previous is not None
    return torch.stack(blended), BlendState({**state.last, step: previous})


class NeighbourBlending:
    """The blending of one clip, batch by batch."""

    def __init__(self, strength: float, latent_size: tuple[int, int], like: Tensor | None = None) -> None:
        """`like`: a float32 tensor on the device of the latents; None: the CPU."""
        self.strength, self.latent_size = strength, latent_size
        self._like = torch.empty(0) if like is None else like
        self.state = self._start = BlendState()

    def carried(self) -> dict[str, np.ndarray]:
        """What the next batch needs of the last one: each step's latents of the last frame, (steps, C, h, w), and the
        frame's cell codes, (3, h, w)."""
        if not self.state.last:
            return {}
        latents = [self.state.last[step][0].cpu().numpy() for step in sorted(self.state.last)]
        return {"latents": np.stack(latents), "codes": next(iter(self.state.last.values()))[1].cpu().numpy()}

    def carry(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what another instance has `carried`."""
        if arrays:
            latents, codes = torch.tensor(arrays["latents"]), torch.tensor(arrays["codes"])
            self.state = BlendState({step: (one, codes) for step, one in enumerate(latents)})

    def batch(self, frames: Sequence[ClipFrame]) -> StepBlending:
        """For the next consecutive frames of the clip."""
        cells = placed(cell_codes([frame.iuv for frame in frames], self.latent_size), self._like)
        begins, self._start = [frame.link is None for frame in frames], self.state

        def blend_step(latents: Latents, step: int) -> Latents:
            blended, self.state = blend(latents, cells, self.state, step, self.strength, begins=begins)
            return blended

        return StepBlending(latents=blend_step)

    def undo(self) -> None:
        """Forget the last batch, which failed."""
        self.state = self._start

    def again(self, place: int, steps: int) -> StepBlending:
        """For another attempt at a frame, which is not blended."""
        return StepBlending()
