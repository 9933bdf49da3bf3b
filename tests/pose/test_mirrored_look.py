"""A picture and its mirror image give the same result."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from mcld_anim.pose.tiny import load_tiny_pose_backend
from mcld_anim.pose.tiny_network import INPUT_SIZE, TinyDensePose, chosen_uv, seen_both_ways, turned_back
from mcld_anim.synthetic.person import Rendering

HANDS = (3, 4)
"""Back and palm lie side by side in one chart, and the network often confuses them."""


@pytest.fixture(scope="module")
def network() -> TinyDensePose:
    return load_tiny_pose_backend().network


@pytest.fixture(scope="module")
def pictures(dance: list[Rendering]) -> Tensor:
    seen = torch.stack([torch.from_numpy(rendering.picture) for rendering in dance[:4]])
    size = (INPUT_SIZE, INPUT_SIZE)
    return functional.interpolate(seen.permute(0, 3, 1, 2).float() / 127.5 - 1, size, mode="bilinear")


@torch.inference_mode()
def test_maps_of_a_mirror_image_turn_back(network: TinyDensePose, pictures: Tensor) -> None:
    """Fails for a wrong mirror part or a wrongly flipped chart."""
    seen, other = network(pictures), turned_back(network(pictures.flip(-1)))
    part = seen.parts.argmax(1)
    person = part > 0
    assert (other.parts.argmax(1) == part)[person].float().mean() > 0.75
    cells = seen.cell_parts.argmax(1)
    for plane, turned in zip(chosen_uv(seen.u, seen.v, cells), chosen_uv(other.u, other.v, cells), strict=True):
        large = (cells.flatten().bincount() >= 60).nonzero().flatten().tolist()
        assert len(large) > 12
        for number in set(large) - {0, *HANDS}:
            assert (plane - turned)[cells == number].abs().median() < 0.12, number


@torch.inference_mode()
def test_both_ways_of_a_mirror_image_are_the_same_turned(network: TinyDensePose, pictures: Tensor) -> None:
    seen, other = seen_both_ways(network, pictures), turned_back(seen_both_ways(network, pictures.flip(-1)))
    for name in ("parts", "u", "v", "cell_parts"):
        torch.testing.assert_close(getattr(seen, name), getattr(other, name), rtol=1e-3, atol=1e-3)
