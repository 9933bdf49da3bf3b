"""The training loss: weights, masks, and the effect of each option."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mcld_anim.options.model import ScheduleOptions
from mcld_anim.sampling.schedule import make_scheduler
from mcld_anim.train.loss import (
    LossOptions,
    denoising_loss,
    face_cells,
    min_snr_weights,
    person_cells,
    signal_to_noise,
)


def test_weights_over_the_schedule() -> None:
    alphas = make_scheduler(ScheduleOptions()).alphas_cumprod
    snr = signal_to_noise(alphas, torch.arange(1000))
    assert snr[-1] == 0
    assert (snr[1:] <= snr[:-1]).all()
    weights = min_snr_weights(snr)
    assert weights[-1] == 1
    assert (weights[1:] >= weights[:-1]).all()
    torch.testing.assert_close(min_snr_weights(torch.tensor([0.0, 4.0, 9.0])), torch.tensor([1.0, 1.0, 0.5]))
    assert min_snr_weights(snr, floor=0.3).min() == pytest.approx(0.3)


def _case() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prediction, target (2, 4, 8, 8) and a face of two cells in the first sample."""
    predicted, target = torch.randn(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    face = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    face[0, 0, 2, 3:5] = True
    return predicted, target, face


def test_published_form() -> None:
    predicted, target, face = _case()
    snr = torch.tensor([9.0, 0.0])
    error = (predicted - target).square()
    plain, in_face = error.mean((1, 2, 3)), (error * face).mean((1, 2, 3))
    terms = denoising_loss(predicted, target, snr, face, LossOptions())
    expected = (torch.tensor([0.5, 1.0]) * (plain + in_face)).mean()
    torch.testing.assert_close(terms.total, expected)
    assert terms.face[1] == 0
    assert terms.face[0] == pytest.approx(error[0, :, 2, 3:5].sum().item() / error[0].numel())


@given(weight=st.floats(0, 10))
def test_face_weight_can_ignore_the_snr(weight: float) -> None:
    predicted, target, face = _case()
    snr = torch.tensor([9.0, 0.0])
    options = LossOptions(face_weight=weight, face_by_snr=False)
    terms = denoising_loss(predicted, target, snr, face, options)
    expected = (terms.weights * terms.plain).mean() + weight * terms.face.mean()
    torch.testing.assert_close(terms.total, expected)


def test_person_weight() -> None:
    predicted, target, face = _case()
    everywhere = torch.ones(2, 1, 8, 8, dtype=torch.bool)
    snr = torch.zeros(2)
    plain = denoising_loss(predicted, target, snr, face, LossOptions(face_weight=0)).total
    doubled = denoising_loss(predicted, target, snr, face, LossOptions(face_weight=0, person_weight=1.0), everywhere)
    torch.testing.assert_close(doubled.total, 2 * plain)
    with pytest.raises(ValueError, match="person's cells"):
        denoising_loss(predicted, target, snr, face, LossOptions(person_weight=1.0))


def test_cells_of_face_and_person() -> None:
    parts = torch.zeros(1, 32, 32, dtype=torch.uint8)
    parts[0, 8:16, 8:16] = 23
    parts[0, 16:24, 8:16] = 24
    parts[0, 24:25, 8:9] = 5
    assert face_cells(parts, (4, 4))[0, 0].nonzero().tolist() == [[1, 1], [2, 1]]
    assert person_cells(parts, (4, 4))[0, 0].nonzero().tolist() == [[1, 1], [2, 1], [3, 1]]


@pytest.mark.parametrize("name", ["face_weight", "person_weight", "snr_floor", "noise_offset"])
def test_negative_weights_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        LossOptions(**{name: -0.1})
