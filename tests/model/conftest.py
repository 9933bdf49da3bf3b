"""A network of the real structure at the smallest size, in which every weight matters."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mcld_anim.model.build import Mcld, build_mcld
from mcld_anim.options.model import ModelOptions


@pytest.fixture
def mcld(small_options: ModelOptions) -> Mcld:
    """Random weights, including biases and zero-initialised layers, so that a missing term changes the output."""
    options = dataclasses.replace(small_options, face=dataclasses.replace(small_options.face, embedding_dim=8))
    torch.manual_seed(0)
    built = build_mcld(options).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.ndim == 1 or not parameter.any():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return built
