"""A network of the real structure at the smallest size, with every weight at work."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mcld_anim.model.build import Mcld, build_mcld
from mcld_anim.options.model import ModelOptions


@pytest.fixture
def mcld(small_options: ModelOptions) -> Mcld:
    """Random weights; biases and the zero-initialised layers are random too, so that a missing term shows."""
    options = dataclasses.replace(small_options, face=dataclasses.replace(small_options.face, embedding_dim=8))
    torch.manual_seed(0)
    built = build_mcld(options).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim == 1 or not parameter.any():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return built
