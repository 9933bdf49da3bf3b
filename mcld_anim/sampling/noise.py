"""Start noise of the frames, as a pure function of (seed, frame index).

Nothing here depends on the grouping into batches, the order of calls, or the device: every frame's values come from its
own generator, in float32 on the CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from mcld_anim.core.errors import UsageError

SHARED_STREAM = 0
FRAME_STREAM = 1


@dataclass(frozen=True)
class NoiseMode:
    """The share of the start noise that is common to all frames of a clip.

    `shared`: all of it. `independent`: none. `mixed`: PYoCo's mixed model (Ge et al. 2023, arXiv 2305.10474, equation
    5), with a common variance of alpha^2 / (1 + alpha^2).
    """

    kind: Literal["shared", "mixed", "independent"] = "shared"
    alpha: float = 1.0

    @property
    def shared_weight(self) -> float:
        """Factor of the common noise; its square is the common share of the variance."""
        if self.kind == "mixed":
            return float(self.alpha / np.sqrt(1 + self.alpha**2))
        return 1.0 if self.kind == "shared" else 0.0

    @property
    def frame_weight(self) -> float:
        """Factor of the frame's own noise; the two squares add up to one."""
        return float(np.sqrt(1 - self.shared_weight**2))

    def __str__(self) -> str:
        return f"mixed:{self.alpha:g}" if self.kind == "mixed" else self.kind


def parse_noise_mode(text: str) -> NoiseMode:
    """`shared`, `independent` or `mixed:ALPHA` (ALPHA > 0) as a NoiseMode."""
    if text == "shared":
        return NoiseMode("shared")
    if text == "independent":
        return NoiseMode("independent")
    kind, colon, number = text.partition(":")
    if kind == "mixed" and colon:
        try:
            alpha = float(number)
        except ValueError:
            alpha = float("nan")
        if np.isfinite(alpha) and alpha > 0:
            return NoiseMode("mixed", alpha)
    raise UsageError(
        f"--noise {text!r} is not a noise mode: give shared, independent or mixed:ALPHA with ALPHA > 0 "
        "(mixed:1 makes half of the variance common to all frames)"
    )


def start_noise(
    shape_one_frame: Sequence[int], seed: int, frame_indices: Sequence[int], mode: NoiseMode | None = None
) -> Tensor:
    """Unit-variance normal noise of the frames: float32 (F, *shape_one_frame) on the CPU.

    Row k belongs to frame `frame_indices[k]` of the clip and is the same whatever else is in the list.
    """
    mode = mode or NoiseMode()
    shape = tuple(shape_one_frame)
    if mode.shared_weight:
        shared = _normal(shape, seed, SHARED_STREAM, 0)
    else:
        shared = torch.zeros(shape)
    if not mode.frame_weight:
        return shared.expand(len(frame_indices), *shape).clone()
    frames = [
        mode.shared_weight * shared + mode.frame_weight * _normal(shape, seed, FRAME_STREAM, index)
        for index in frame_indices
    ]
    return torch.stack(frames) if frames else torch.zeros((0, *shape))


def _normal(shape: tuple[int, ...], seed: int, stream: int, index: int) -> Tensor:
    """Normal values of one frame in one stream; neighbouring seeds and indices give independent values."""
    if seed < 0 or index < 0:
        raise UsageError(f"seed {seed} and frame index {index}: both must be 0 or more")
    state = np.random.SeedSequence(entropy=seed, spawn_key=(stream, index)).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
    return torch.randn(shape, generator=generator)
