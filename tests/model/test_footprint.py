"""Memory is counted without computing: results that live together, and nothing twice."""

from __future__ import annotations

import torch

from mcld_anim.model.build import build_mcld
from mcld_anim.model.footprint import footprint, peak_bytes
from mcld_anim.options.model import load_model_options

MEGABYTE = 10**6


def test_what_lives_at_the_same_time_counts_once() -> None:
    with torch.device("meta"):
        weights = torch.ones(1000, 250)  # 1 MB

        def work() -> torch.Tensor:
            first = weights.t() @ weights  # 250 x 250; the view of the weights is none of its own
            second = first.view(-1) + 1
            del first
            third = second * 2
            return third.reshape(250, 250)

        assert peak_bytes(work) == 2 * 250 * 250 * 4


def test_the_embedded_model_is_counted() -> None:
    options = load_model_options("tiny")
    single, half = (footprint(options, dtype, True) for dtype in (torch.float32, torch.bfloat16))
    with torch.device("meta"):
        weights = sum(weight.nbytes for weight in build_mcld(options).state_dict().values())
    assert single.weights == weights
    assert 0.49 < half.weights / single.weights < 0.52  # whole numbers stay
    assert 0.45 < half.step / single.step < 0.65
    assert footprint(options, torch.float32, False).step < 0.6 * single.step
    assert footprint(options, torch.float32, True, tile=16).decode < 0.3 * single.decode


def test_the_published_model_in_half_precision_fits_an_8_gb_gpu() -> None:
    counted = footprint(load_model_options("mcld_sd15"), torch.bfloat16, True)
    assert 4300 * MEGABYTE < counted.weights < 4500 * MEGABYTE
    assert counted.at(4, 4) < 7000 * MEGABYTE
    assert counted.at(4, 1) < counted.at(4, 4)


def test_with_one_network_at_a_time_a_4_gb_gpu_does() -> None:
    counted = footprint(load_model_options("mcld_sd15"), torch.bfloat16, True)
    assert sum(counted.parts.values()) == counted.weights
    largest = max(counted.parts.values())
    assert largest == counted.parts["denoiser"]
    assert largest + counted.source + counted.step <= counted.at(1, 1, offload=True) < 2500 * MEGABYTE
    assert counted.at(1, 1, offload=True) < counted.at(4, 1, offload=True) < counted.at(4, 1) / 2
