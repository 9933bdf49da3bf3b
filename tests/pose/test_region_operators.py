"""The two operators against their definition in loops, and against torchvision if it is installed."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mcld_anim.pose.region_operators import nms, provide_operators, roi_align


def slow_nms(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -float(scores[i])):
        if all(overlap(boxes[index].tolist(), boxes[other].tolist()) <= threshold for other in kept):
            kept.append(index)
    return kept


def overlap(a: list[float], b: list[float]) -> float:
    across = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    down = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    both = across * down
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 25), st.sampled_from([0.0, 0.3, 0.5, 0.9]), st.integers(0, 10**6))
def test_nms_keeps_the_best_of_what_overlaps(count: int, threshold: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * 20
    boxes = torch.cat([corners, corners + 1 + torch.rand(count, 2, generator=generator) * 15], 1)
    scores = torch.rand(count, generator=generator)
    assert nms(boxes, scores, threshold).tolist() == slow_nms(boxes, scores, threshold)


def bilinear(plane: Tensor, y: float, x: float) -> float:
    """Sampling as in Mask R-CNN's reference: up to one cell outside the edge counts, anything beyond is 0."""
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    upper = plane[top, left] * (1 - (x - left)) + plane[top, right] * (x - left)
    lower = plane[bottom, left] * (1 - (x - left)) + plane[bottom, right] * (x - left)
    return float(upper * (1 - (y - top)) + lower * (y - top))


def slow_roi_align(
    features: Tensor, rois: Tensor, scale: float, height: int, width: int, ratio: int, aligned: bool
) -> Tensor:
    result = torch.zeros(len(rois), features.shape[1], height, width)
    for k, (picture, x0, y0, x1, y1) in enumerate(rois.tolist()):
        shift = 0.5 if aligned else 0
        left, top = x0 * scale - shift, y0 * scale - shift
        across, down = (x1 - x0) * scale, (y1 - y0) * scale
        if not aligned:
            across, down = max(across, 1), max(down, 1)
        rows = ratio if ratio > 0 else max(math.ceil(down / height), 1)
        columns = ratio if ratio > 0 else max(math.ceil(across / width), 1)
        for c in range(features.shape[1]):
            for p in range(height):
                for q in range(width):
                    values = [
                        bilinear(
                            features[int(picture), c],
                            top + (p + (i + 0.5) / rows) * down / height,
                            left + (q + (j + 0.5) / columns) * across / width,
                        )
                        for i in range(rows)
                        for j in range(columns)
                    ]
                    result[k, c, p, q] = sum(values) / len(values)
    return result


@pytest.mark.parametrize("ratio", [2, 0, -1])
@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align_is_the_mean_of_bilinear_samples(ratio: int, aligned: bool) -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.rand(2, 3, 9, 12, generator=generator)
    rois = torch.tensor(
        [
            [0, 2.0, 3.0, 30.0, 21.0],
            [1, 0.0, 0.0, 47.0, 35.0],
            [1, -20.0, -9.0, 8.0, 60.0],  # partly outside
            [0, 100.0, 100.0, 120.0, 130.0],  # all outside
            [0, 7.0, 7.0, 7.0, 7.0],  # no size
        ]
    )
    ours = roi_align(features, rois, 0.25, 3, 2, ratio, aligned)
    torch.testing.assert_close(ours, slow_roi_align(features, rois, 0.25, 3, 2, ratio, aligned), rtol=1e-4, atol=1e-5)


def test_many_regions_are_pooled_in_their_order() -> None:
    features = torch.arange(2.0)[:, None, None, None].expand(2, 1, 8, 8)
    pictures = (torch.arange(150) % 2).float()
    rois = torch.cat([pictures[:, None], torch.tensor([[1.0, 1.0, 6.0, 6.0]]).expand(150, 4)], 1)
    assert torch.equal(roi_align(features, rois, 1.0, 2, 2, 2, True)[:, 0, 0, 0], pictures)
    assert roi_align(features, rois[:0], 1.0, 2, 2, 2, True).shape == (0, 1, 2, 2)
    assert roi_align(features.half(), rois.half(), 1.0, 2, 2, 2, True).dtype == torch.float16


def test_a_script_finds_them_without_torchvision() -> None:
    code = """
import sys; sys.modules['torchvision'] = None; import torch
from mcld_anim.pose.region_operators import provide_operators
assert provide_operators() == provide_operators() == 'mcld-anim'
script = torch.jit.CompilationUnit('''
def both(boxes: Tensor, scores: Tensor, features: Tensor):
    kept = torch.ops.torchvision.nms(boxes, scores, 0.5)
    rois = torch.cat([torch.zeros([kept.size(0), 1]), boxes[kept]], 1)
    return kept, torch.ops.torchvision.roi_align(features, rois, 1.0, 2, 2, 2, True)
''')
boxes = torch.tensor([[0., 0, 8, 8], [0, 0, 7, 8], [9, 9, 12, 12]])
kept, pooled = script.both(boxes, torch.tensor([0.5, 0.9, 0.1]), torch.ones(1, 4, 16, 16))
assert kept.tolist() == [1, 2] and pooled.shape == (2, 4, 2, 2) and (pooled == 1).all()
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_they_are_torchvisions_where_it_loads() -> None:
    torchvision = pytest.importorskip("torchvision", exc_type=Exception)
    assert provide_operators() == "torchvision"
    boxes = torch.rand(50, 2).repeat(1, 2) * 30 + torch.tensor([0, 0, 9.0, 7.0])
    scores = torch.rand(50)
    assert torch.equal(torchvision.ops.nms(boxes, scores, 0.4), nms(boxes, scores, 0.4))
    features, rois = torch.rand(1, 4, 20, 20), torch.cat([torch.zeros(50, 1), boxes], 1)
    theirs = torchvision.ops.roi_align(features, rois, 3, 0.5, 2, True)
    torch.testing.assert_close(roi_align(features, rois, 0.5, 3, 3, 2, True), theirs)
