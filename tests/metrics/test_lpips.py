"""LPIPS: agreement with torchmetrics' implementation, known values, missing weights."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torchmetrics.functional.image import lpips as reference

from mcld_anim.core.errors import WeightsError
from mcld_anim.metrics.lpips import load_lpips


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """Two pictures and their shifted copies, in 0..1."""
    torch.manual_seed(1)
    smooth = nn.functional.interpolate(torch.rand(2, 3, 12, 9), (96, 72), mode="bicubic").clamp(0, 1)
    return smooth, smooth.roll((3, 2), (2, 3))


def test_the_distance_is_torchmetrics(
    judges: Path, pictures: tuple[torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = load_lpips()
    trunk = nn.Sequential(*network.features, nn.MaxPool2d(3, stride=2))
    monkeypatch.setattr(reference, "_get_tv_model_features", lambda *_, **__: trunk)
    theirs = reference._LPIPS(net="alex").eval()
    expected = theirs(pictures[0], pictures[1], normalize=True).flatten()
    ours = network(*pictures)
    assert ours.min() > 1e-4
    assert torch.allclose(ours, expected, rtol=1e-4)
    assert "torchvision" not in sys.modules


def test_equal_pictures_have_no_distance(judges: Path, pictures: tuple[torch.Tensor, torch.Tensor]) -> None:
    network = load_lpips()
    assert network(pictures[0], pictures[0]).tolist() == [0.0, 0.0]
    assert torch.allclose(network(*pictures), network(*pictures[::-1]))


def test_without_its_weights_it_says_how_to_get_them() -> None:
    with pytest.raises(WeightsError, match="mcld-anim models pull lpips"):
        load_lpips()
