"""A widened network computes the same as the narrow one, and trains all of its new parts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from mcld_anim.core.errors import WeightsError
from mcld_anim.pose.tiny import load_tiny_pose_backend
from mcld_anim.pose.tiny_network import TinyDensePose, TinyDensePoseOptions
from mcld_anim.train.densepose import DensePoseTask, DensePoseTrainingOptions
from mcld_anim.train.loop import LoopOptions
from mcld_anim.train.record import write_weights
from mcld_anim.train.views import ViewsOptions
from mcld_anim.train.widen import widen_into

NARROW = TinyDensePoseOptions((8, 12, 8, 16), (1, 1, 1, 1), 4, 8)
WIDE = TinyDensePoseOptions((12, 12, 16, 16), (2, 1, 3, 1), 4, 12)


def trained_like(options: TinyDensePoseOptions) -> TinyDensePose:
    """A network with no weight at its initial value."""
    network = TinyDensePose(options)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in (*network.parameters(), *(b for b in network.buffers() if b.is_floating_point())):
            tensor += 0.2 * torch.rand(tensor.shape, generator=generator)
    return network.eval()


def test_a_wider_and_deeper_network_computes_the_same() -> None:
    narrow, wide = trained_like(NARROW), TinyDensePose(WIDE)
    widen_into(wide, narrow.state_dict())
    pictures = torch.rand((2, 3, 256, 256), generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        before, after = narrow(pictures), wide.eval()(pictures)
    for name in ("parts", "u", "v", "cell_parts"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name), rtol=1e-4, atol=1e-4)


def test_new_channels_get_gradients() -> None:
    wide = TinyDensePose(WIDE)
    widen_into(wide, trained_like(NARROW).state_dict())
    pictures = torch.rand((2, 3, 256, 256), generator=torch.Generator().manual_seed(1)) * 2 - 1
    maps = wide.train()(pictures)
    (maps.parts.square().mean() + maps.u.square().mean()).backward()
    gradient = wide.get_parameter("leave.weight").grad
    assert gradient is not None
    assert gradient[:, 8:].abs().sum() > 0


@pytest.mark.parametrize(
    "smaller",
    [
        dataclasses.replace(NARROW, widths=(4, 12, 8, 16)),
        dataclasses.replace(NARROW, sharp_width=4),
        dataclasses.replace(NARROW, widths=(8, 12, 8, 32)),
    ],
)
def test_a_network_that_does_not_fit_is_refused(smaller: TinyDensePoseOptions) -> None:
    with pytest.raises(WeightsError, match=r"wider or deeper|keep the last width"):
        widen_into(TinyDensePose(smaller), trained_like(NARROW).state_dict())


def test_a_training_starts_from_narrower_weights(people: Path, tmp_path: Path) -> None:
    path = tmp_path / "narrow.safetensors"
    write_weights(path, dict(trained_like(NARROW).state_dict()), {"options": dataclasses.asdict(NARROW)})
    options = DensePoseTrainingOptions(
        network=WIDE, loop=LoopOptions(steps=1), data=ViewsOptions(development=((2, 3),)), backgrounds=1
    )
    network = DensePoseTask(options, people, start_from=path).network.eval()
    pictures = torch.rand((1, 3, 256, 256), generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        expected = load_tiny_pose_backend(weights=path).network(pictures)
        torch.testing.assert_close(network(pictures).parts, expected.parts, rtol=1e-3, atol=1e-3)
