"""Face distances and the Frechet distance on cases with known results."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from mcld_anim.core.errors import UsageError
from mcld_anim.metrics.faces import cosine_similarity, euclidean_distance
from mcld_anim.metrics.frechet import frechet_distance


def test_face_distances() -> None:
    first, second = np.array([3.0, 0.0], np.float32), np.array([0.0, 4.0], np.float32)
    assert cosine_similarity(first, second) == 0.0
    assert cosine_similarity(first, 7 * first) == pytest.approx(1.0)
    assert cosine_similarity(first, -first) == pytest.approx(-1.0)
    assert euclidean_distance(first, second) == 5.0
    assert np.isnan(cosine_similarity(first, 0 * first))


def test_frechet_of_a_shift_is_its_square() -> None:
    features = np.random.default_rng(0).normal(size=(200, 5))
    shift = np.array([1.0, 0, 2.0, 0, 0])
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(features, features + shift) == pytest.approx(5.0)


def test_frechet_agrees_with_the_matrix_square_root() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(80, 6)), rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6))
    covariances = [np.cov(features, rowvar=False) for features in (first, second)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    shift = first.mean(0) - second.mean(0)
    expected = shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert frechet_distance(first, second) == pytest.approx(expected)
    assert frechet_distance(second, first) == pytest.approx(expected)


def test_frechet_with_fewer_samples_than_dimensions() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(5, 20)), rng.normal(size=(4, 20))
    assert np.isfinite(frechet_distance(first, second))


def test_frechet_refuses_too_few_samples_and_other_shapes() -> None:
    with pytest.raises(UsageError, match="at least 2"):
        frechet_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(UsageError, match="shapes"):
        frechet_distance(np.zeros((5, 3)), np.zeros((5, 4)))
