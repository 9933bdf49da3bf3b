"""The detail decoder: its output before training, its inputs, and the models that may have one."""

from __future__ import annotations

import pytest
import torch

from mcld_anim.model.detail import INITIAL_GATE_LOGIT, DetailDecoder
from mcld_anim.options.model import DetailOptions, ModelOptions


def pictures(seed: int, channels: int = 3) -> torch.Tensor:
    return torch.rand((2, channels, 32, 48), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_before_training_the_warped_source_has_a_small_weight() -> None:
    decoder = DetailDecoder(DetailOptions((8, 8, 16)))
    decoded, warped, ones = pictures(0), pictures(1), torch.ones(2, 1, 32, 48)
    share = torch.sigmoid(torch.tensor(INITIAL_GATE_LOGIT))
    torch.testing.assert_close(decoder(decoded, warped, ones, ones), decoded + share * (warped - decoded))


@pytest.mark.parametrize("which", range(4))
def test_every_input_counts(which: int) -> None:
    decoder = DetailDecoder(DetailOptions((8, 16)))
    torch.nn.init.normal_(decoder.leave.weight)
    inputs = [pictures(0), pictures(1), pictures(2, 1).abs(), pictures(3, 1).abs()]
    before = decoder(*inputs)
    inputs[which] = inputs[which].roll(3, dims=-1)
    assert (decoder(*inputs) - before).abs().max() > 1e-3


def test_a_fully_open_gate_returns_the_warped_source() -> None:
    decoder = DetailDecoder(DetailOptions((8,)))
    assert decoder.leave.bias is not None
    with torch.no_grad():
        decoder.leave.bias[12:] = 50.0
    ones = torch.ones(2, 1, 32, 48)
    torch.testing.assert_close(decoder(pictures(0), pictures(1), ones, ones), pictures(1))


def test_it_needs_a_warped_source() -> None:
    with pytest.raises(ValueError, match="uv_warp"):
        ModelOptions(detail=DetailOptions())
    with pytest.raises(ValueError, match="1 to 3"):
        DetailOptions(widths=(8, 8, 8, 8))
