"""ComfyUI's IMAGE, float32 (B, H, W, 3) RGB in 0..1, and this program's pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import UsageError


def pictures(images: torch.Tensor) -> Iterator[Picture]:
    """Each picture of a batch."""
    if images.ndim != 4 or images.shape[-1] not in (3, 4):
        raise UsageError(f"an IMAGE of shape {tuple(images.shape)} was given; expected (batch, height, width, 3)")
    for image in images:
        yield (image[..., :3].detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8).contiguous().numpy()


def batch(frames: Iterable[np.ndarray]) -> torch.Tensor:
    """Pictures of one size as an IMAGE; a fourth channel, opacity, is left out."""
    whole = torch.from_numpy(np.stack([frame[..., :3] for frame in frames]))
    return whole.to(torch.float32).div_(255)
