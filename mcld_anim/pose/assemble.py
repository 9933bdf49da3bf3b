"""From the DensePose maps of detections to IUV at picture size, for detectron2's networks and their exports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from mcld_anim.core.arrays import Box, Iuv
from mcld_anim.pose.backends import PoseEstimate, largest_first


def assemble_people(
    boxes: Float[Tensor, "people 4"],
    coarse: Float[Tensor, "people 2 cells cells"],
    fine: Float[Tensor, "people 25 cells cells"],
    u: Float[Tensor, "people 25 cells cells"],
    v: Float[Tensor, "people 25 cells cells"],
    scores: Sequence[float],
    size: tuple[int, int],
) -> list[PoseEstimate]:
    """The detections in a picture of `size` (height, width) that have a pixel, the largest first."""
    people = []
    for index, score in enumerate(scores):
        one = slice(index, index + 1)
        x0, y0, x1, y1 = (float(value) for value in boxes[index])
        iuv = assemble_iuv((x0, y0, x1, y1), coarse[one], fine[one], u[one], v[one], size)
        if iuv[..., 0].any():
            people.append(PoseEstimate(iuv, (x0, y0, x1, y1), score))
    return largest_first(people)


def assemble_iuv(
    box: Box,
    coarse: Float[Tensor, "1 2 cells cells"],
    fine: Float[Tensor, "1 25 cells cells"],
    u: Float[Tensor, "1 25 cells cells"],
    v: Float[Tensor, "1 25 cells cells"],
    size: tuple[int, int],
) -> Iuv:
    """Paint one detection's maps into an IUV of `size` (height, width).

    The maps are stretched over the box, whose corner and size are truncated to whole pixels. A pixel belongs to the
    most likely part where the coarse map says person. U and V are clamped to 0..1 (the published code lets them wrap),
    multiplied by 255 and truncated. Parts of the box outside the picture are cut off.
    """
    x0, y0 = int(box[0]), int(box[1])
    width, height = max(int(box[2] - box[0]), 1), max(int(box[3] - box[1]), 1)
    coarse, fine, u, v = (
        interpolate(maps.float(), (height, width), mode="bilinear", align_corners=False)[0]
        for maps in (coarse, fine, u, v)
    )
    part = fine.argmax(dim=0) * (coarse.argmax(dim=0) > 0)
    coordinates = torch.cat([maps.gather(0, part[None]) for maps in (u, v)]).clamp(0, 1) * 255 * (part > 0)
    inside = torch.cat([part[None], coordinates.long()]).permute(1, 2, 0).to(torch.uint8).cpu().numpy()
    iuv = np.zeros((*size, 3), np.uint8)
    top, left = max(y0, 0), max(x0, 0)
    bottom, right = min(y0 + height, size[0]), min(x0 + width, size[1])
    if bottom > top and right > left:
        iuv[top:bottom, left:right] = inside[top - y0 : bottom - y0, left - x0 : right - x0]
    return iuv
