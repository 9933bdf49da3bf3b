"""FID: the network's shape, its input, moments added up in batches, agreement with torchmetrics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchmetrics.image.fid import _compute_fid

from mcld_anim.core.errors import UsageError, WeightsError
from mcld_anim.metrics.frechet import MomentMeter, moment_distance, moments_of
from mcld_anim.metrics.inception import EPSILON, FEATURES, Inception, load_inception

TORCHVISION_PARAMETERS = 21_785_568
"""Of torchvision's Inception v3 without classifiers: 27,161,264 less the auxiliary one's 3,326,696 and 2,049,000."""


def test_the_network_has_torchvisions_weights() -> None:
    with torch.device("meta"):
        network = Inception()
    state = network.state_dict()
    assert sum(parameter.numel() for parameter in network.parameters()) == TORCHVISION_PARAMETERS
    assert state["Mixed_6c.branch7x7dbl_4.conv.weight"].shape == (160, 160, 7, 1)
    assert state["Mixed_7c.branch3x3dbl_3b.conv.weight"].shape == (384, 384, 3, 1)
    assert state["Mixed_5b.branch_pool.bn.running_var"].shape == (32,)


def test_average_pools_count_the_padding() -> None:
    """As torchvision's do; those of the network for standard FID do not."""
    mixed = Inception().eval().Mixed_5b
    pool = mixed.branch_pool
    torch.nn.init.dirac_(pool.conv.weight)
    made = mixed(torch.ones(1, 192, 5, 5))[0, -32:, 0, :2] * (1 + EPSILON) ** 0.5
    assert made[0].tolist() == pytest.approx([4 / 9, 6 / 9])


def test_pictures_become_features(judges: Path) -> None:
    network = load_inception()
    pictures = torch.rand(2, 3, 64, 44)
    features = network(pictures)
    assert features.shape == (2, FEATURES)
    assert torch.allclose(features[1:], network(pictures[1:]), atol=1e-5)
    assert not torch.allclose(features[0], features[1])


def test_without_its_weights_it_says_how_to_get_them() -> None:
    with pytest.raises(WeightsError, match="mcld-anim models pull inception"):
        load_inception()


def test_moments_do_not_depend_on_the_batches() -> None:
    features = np.random.default_rng(0).normal(5, 2, (57, 7)).astype(np.float32)
    meter = MomentMeter(7)
    for batch in np.split(features, [1, 20, 20, 50]):
        meter.add(batch)
    added, whole = meter.moments(), moments_of(features)
    assert added.samples == 57
    assert np.allclose(added.mean, features.astype(float).mean(0))
    assert np.allclose(added.covariance, np.cov(features.astype(float), rowvar=False))
    assert np.allclose(added.covariance, whole.covariance)
    with pytest.raises(UsageError, match="expected"):
        meter.add(features[:, :3])
    with pytest.raises(UsageError, match="at least 2"):
        MomentMeter(7).moments()


def test_the_distance_of_two_gaussians_is_the_closed_form_and_torchmetrics() -> None:
    """Diagonal covariances: |m - m'|^2 + sum (s - s')^2 of the standard deviations."""
    rng = np.random.default_rng(2)
    deviations = np.array([1.0, 2.0, 0.5]), np.array([2.0, 0.5, 0.5])
    white = np.linalg.qr(rng.normal(size=(200, 4)) - 0)[0][:, :3]
    white -= white.mean(0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False)).T)
    first, second = white * deviations[0], white * deviations[1] + [1.0, 0, 0]
    expected = 1 + ((deviations[0] - deviations[1]) ** 2).sum()
    ours = moment_distance(moments_of(first), moments_of(second))
    assert ours == pytest.approx(expected)
    means = [torch.from_numpy(one.mean(0)) for one in (first, second)]
    covariances = [torch.from_numpy(np.cov(one, rowvar=False)) for one in (first, second)]
    theirs = _compute_fid(means[0], covariances[0], means[1], covariances[1])
    assert ours == pytest.approx(float(theirs))
