"""Face verification metrics on embeddings with known results."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.metrics.faces import equal_error_rate, pair_similarities


def test_pairs_are_split_into_genuine_and_impostor() -> None:
    embeddings = np.array([[1.0, 0], [2, 0], [0, 3], [0, 1]])
    own, others = pair_similarities(embeddings, np.array([7, 7, 8, 8]))
    assert own.tolist() == [1.0, 1.0]
    assert others.tolist() == [0.0] * 4


def test_separable_similarities_are_separated() -> None:
    accuracy, threshold = equal_error_rate(np.array([0.9, 0.8]), np.array([0.1, 0.2, 0.3]))
    assert accuracy == 1
    assert 0.3 < threshold <= 0.8


def test_equally_distributed_similarities_give_chance() -> None:
    values = np.random.default_rng(0).normal(0, 0.2, (2, 4000))
    assert equal_error_rate(*values)[0] == pytest.approx(0.5, abs=0.02)


def test_known_overlap() -> None:
    """Two normal distributions d deviations apart are separated with accuracy Phi(d / 2)."""
    generator = np.random.default_rng(0)
    own, others = generator.normal(0.1, 0.1, 20000), generator.normal(-0.1, 0.1, 20000)
    accuracy, threshold = equal_error_rate(own, others)
    assert accuracy == pytest.approx(0.8413, abs=0.01)
    assert threshold == pytest.approx(0, abs=0.01)
