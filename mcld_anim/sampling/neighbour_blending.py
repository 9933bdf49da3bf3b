"""Causal blending of the latents of neighbouring frames, where both frames show the same thing.

At every sampling step the latents of frame i are drawn towards the blended latents of frame i-1 of the same
step. Only cells which hold the same surface in both frames take part (background in both, or the same body
part at nearly the same U,V), so that nothing is smeared over a moving limb. Because frame i only looks at
frame i-1, the result does not depend on how frames are grouped into batches: `BlendState` carries the last
frame's latents of every step over the batch border.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mcld_anim.core.arrays import Iuv, Latents
from mcld_anim.core.errors import UsageError

MIXED_CELL = -1
"""Part code of a latent cell whose pixels show more than one part: it is never blended."""

UV_TOLERANCE = 0.06
"""Largest difference of U or V (in 0..1) at which two cells still show the same surface.

One latent cell of a 256-pixel frame spans about a tenth of a limb's chart, so this is half a cell.
"""

CellCodes = Float[Tensor, "frames 3 height_8 width_8"]
"""Part (0 background, 1..24, -1 mixed), mean U and mean V in 0..1 of every latent cell, float32."""


@dataclass(frozen=True)
class BlendState:
    """The last frame seen, per sampling step: blended latents (C, h, w) and cell codes (3, h, w)."""

    last: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """Named tensors for a file, so that a killed run resumes with the same blending."""
        named: dict[str, Tensor] = {}
        for step, (latents, cells) in self.last.items():
            named[f"{step}.latents"], named[f"{step}.cells"] = latents, cells
        return named

    @classmethod
    def from_tensors(cls, named: dict[str, Tensor]) -> BlendState:
        """The state that `tensors` described."""
        steps = sorted({int(name.partition(".")[0]) for name in named})
        return cls({step: (named[f"{step}.latents"], named[f"{step}.cells"]) for step in steps})


def cell_codes(iuvs: Sequence[Iuv], latent_size: tuple[int, int]) -> CellCodes:
    """What every latent cell of every frame shows; the IUV size must be a multiple of `latent_size` (h,
    w)."""
    height, width = latent_size
    codes = np.zeros((len(iuvs), 3, height, width), np.float32)
    for frame, iuv in enumerate(iuvs):
        rows, columns = iuv.shape[0] // height, iuv.shape[1] // width
        if rows * height != iuv.shape[0] or columns * width != iuv.shape[1]:
            raise UsageError(
                f"an IUV of {iuv.shape[0]}x{iuv.shape[1]} does not divide into {height}x{width} cells: "
                "resize the frame to the model's size first"
            )
        blocks = iuv.reshape(height, rows, width, columns, 3).transpose(0, 2, 1, 3, 4)
        blocks = blocks.reshape(height, width, rows * columns, 3)
        part = blocks[..., 0].astype(np.int16)
        one_part = part.min(-1) == part.max(-1)
        codes[frame, 0] = np.where(one_part, part[..., 0], MIXED_CELL)
        codes[frame, 1:] = blocks[..., 1:].mean(2).transpose(2, 0, 1) / 255.0
    return torch.from_numpy(codes)


def same_surface(
    cells: Float[Tensor, "3 h w"], previous: Float[Tensor, "3 h w"], tolerance: float = UV_TOLERANCE
) -> Float[Tensor, "h w"]:
    """1 where both frames show the same surface (or both plain background), else 0."""
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
    tolerance: float = UV_TOLERANCE,
    cuts: Sequence[bool] = (),
) -> tuple[Latents, BlendState]:
    """z_i <- z_i + strength * same_i * (z'_{i-1} - z_i), with z' the blended latents of the frame before.

    `strength` in 0..1; 0 returns the latents as they are. The first frame of a clip has no frame before it, nor has one
    that `cuts` marks.
    Meant for start noise shared by the frames: averaging unrelated noise would lower its variance.
    """
    if not 0 <= strength < 1:
        raise UsageError(f"blending strength {strength}: expected 0 (off) or more, and less than 1")
    if strength == 0 or len(latents) == 0:
        return latents, state
    previous = state.last.get(step)
    blended = []
    for frame, codes, cut in zip(latents, cells.to(latents.device), cuts or [False] * len(latents), strict=True):
        if previous is not None and not cut:
            before, before_codes = previous[0].to(frame), previous[1].to(codes)
            weight = (strength * same_surface(codes, before_codes, tolerance)).to(frame.dtype)
            frame = frame + weight * (before - frame)
        blended.append(frame)
        previous = (frame, codes)
    assert previous is not None
    return torch.stack(blended), BlendState({**state.last, step: previous})


class ClipBlending:
    """The blending of one clip over its batches: gives each batch the function `denoise` calls at each
    step."""

    def __init__(self, strength: float, state: BlendState | None = None) -> None:
        self.strength = strength
        self.state = state or BlendState()

    def batch(self, cells: CellCodes, cuts: Sequence[bool] = ()) -> Callable[[Tensor, int], Tensor]:
        """For the next consecutive frames of the clip, whose cell codes are given; `cuts` marks a scene's first."""

        def blend_step(latents: Tensor, step: int) -> Tensor:
            blended, self.state = blend(latents, cells, self.state, step, self.strength, cuts=cuts)
            return blended

        return blend_step
