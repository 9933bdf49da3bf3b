"""The two torchvision operators of detection networks in plain torch, for machines without a usable torchvision."""

from __future__ import annotations

import importlib
import math

import torch
from einops import reduce
from jaxtyping import Float, Int
from torch import Tensor

ROIS_AT_ONCE = 64
"""Regions per batch. With 256 channels and 14 x 14 bins of four samples with four corners, 51 million numbers."""

_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width, "
    "int sampling_ratio, bool aligned) -> Tensor",
)
_registered: list[torch.library.Library] = []  # keeps the operators alive: torch drops those of a deleted library


def provide_operators() -> str:
    """Provide both operators in `torch.ops.torchvision`; returns the package they come from.

    torchvision's own operators are preferred. A build that does not match torch fails with an ImportError or one of
    many RuntimeErrors, and counts as missing.
    """
    try:
        importlib.import_module("torchvision")
    except Exception:  # any error means that torchvision is not usable
        pass
    else:
        return "torchvision"
    if not _registered:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for schema, operator in zip(_SCHEMAS, (nms, roi_align), strict=True):
            if not hasattr(torch.ops.torchvision, schema.partition("(")[0]):
                library.define(schema)
                library.impl(schema.partition("(")[0], operator, "CompositeImplicitAutograd")
        _registered.append(library)
    return "mcld-anim"


def nms(dets: Float[Tensor, "boxes 4"], scores: Float[Tensor, " boxes"], iou_threshold: float) -> Int[Tensor, " kept"]:
    """Greedy non-maximum suppression: indices of boxes whose overlap with every better one is within the threshold.

    dets: x0, y0, x1, y1. The indices are ordered by falling score.
    """
    boxes = dets.float()
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = scores.argsort(descending=True, stable=True)
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        upper = torch.maximum(boxes[best, :2], boxes[left, :2])
        lower = torch.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = (lower - upper).clamp(min=0).prod(1)
        left = left[shared <= iou_threshold * (areas[best] + areas[left] - shared)]
    return torch.stack(kept) if kept else scores.new_zeros(0, dtype=torch.long)


def roi_align(
    input: Float[Tensor, "batch channels height width"],
    rois: Float[Tensor, "regions 5"],
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Float[Tensor, "regions channels rows columns"]:
    """RoIAlign (He et al. 2017, Mask R-CNN, section 3): features of regions on a grid, as means of bilinear samples.

    rois: index of the picture, x0, y0, x1, y1 in pixels, which `spatial_scale` converts to cells of `input`.
    sampling_ratio: samples per bin and direction; 0 or less: as many as the bin has cells.
    aligned: whether a cell's value lies at its centre.
    """
    pooled = input.new_zeros((len(rois), input.shape[1], pooled_height, pooled_width))
    step = ROIS_AT_ONCE if sampling_ratio > 0 else 1  # otherwise each region has its own number of samples
    for picture in range(len(input)):
        of_picture = (rois[:, 0] == picture).nonzero()[:, 0]
        for chosen in of_picture.split(step):
            corners = rois[chosen, 1:].float() * spatial_scale - (0.5 if aligned else 0.0)
            start, size = corners[:, :2], corners[:, 2:] - corners[:, :2]
            if not aligned:
                size = size.clamp(min=1)
            rows = _samples(start[:, 1], size[:, 1], pooled_height, sampling_ratio)
            columns = _samples(start[:, 0], size[:, 0], pooled_width, sampling_ratio)
            pooled[chosen] = _pool(input[picture], rows, columns, pooled_height, pooled_width)
    return pooled


def _samples(start: Tensor, size: Tensor, bins: int, ratio: int) -> Float[Tensor, "regions samples"]:
    """Sample positions of each region in one direction, bin after bin."""
    count = ratio if ratio > 0 else max(math.ceil(float(size[0]) / bins), 1)
    steps = (torch.arange(bins * count, device=size.device) + 0.5) / count
    return start[:, None] + steps * (size / bins)[:, None]


def _pool(features: Tensor, rows: Tensor, columns: Tensor, height: int, width: int) -> Tensor:
    """(C, H, W) sampled at rows (K, S) x columns (K, T) and averaged per bin: (K, C, height, width)."""
    sampled = features.new_zeros(())
    for row, row_weight in _neighbours(rows, features.shape[1]):
        for column, column_weight in _neighbours(columns, features.shape[2]):
            weight = row_weight[:, :, None] * column_weight[:, None, :]
            sampled = sampled + features[:, row[:, :, None], column[:, None, :]] * weight.to(features.dtype)
    bins = "channels region (height down) (width across) -> region channels height width"
    return reduce(sampled, bins, "mean", height=height, width=width)


def _neighbours(at: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    """The two cells around each position and their weights, 0 for positions more than one cell outside."""
    inside = (at >= -1) & (at <= length)
    at = at.clamp(0, length - 1)
    low = at.floor().long()
    share = at - low
    return [(low, (1 - share) * inside), ((low + 1).clamp(max=length - 1), share * inside)]
