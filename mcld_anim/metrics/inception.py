"""Inception v3 up to its last pooling (Szegedy et al. 2016, arXiv 1512.00567), for FID as published.

The published evaluation takes torchvision's network with ImageNet weights, not the one of Heusel et al. 2017 that
standard FID uses; the layers and the names of the weights are torchvision's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mcld_anim.metrics.judges import judge_tensors
from mcld_anim.metrics.published import published_inception_input
from mcld_anim.weights.published import INCEPTION
from mcld_anim.weights.strict import load_strictly

FEATURES = 2048
EPSILON = 0.001
"""Added to the variance in batch normalisation."""

Kernel = int | tuple[int, int]
Step = tuple[str, int, Kernel] | tuple[str, int, Kernel, int]
"""Name, output channels, kernel (height, width) and stride of a convolution."""
Path = Sequence[Step | str | tuple[Step, Step]]
"""Convolutions in order; "mean" and "max" pool 3x3 places; of two steps beside each other both outputs count."""


class Convolution(nn.Module):
    """A convolution with batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: Kernel, stride: int = 1, padded: bool = True) -> None:
        super().__init__()
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (sides[0] // 2, sides[1] // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(inputs, outputs, sides, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=EPSILON)

    def forward(self, states: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(states)))


class Mixed(nn.Module):
    """Paths side by side, whose outputs are concatenated; a convolution with a stride has no padding."""

    def __init__(self, inputs: int, *paths: Path) -> None:
        super().__init__()
        self._paths = paths
        for path in paths:
            channels = inputs
            for step in path:
                if not isinstance(step, str):
                    channels = sum(self._add(channels, one) for one in _parallel(step))

    def _add(self, inputs: int, step: Step) -> int:
        name, outputs, kernel = step[:3]
        stride = 1 if len(step) == 3 else step[3]
        self.add_module(name, Convolution(inputs, outputs, kernel, stride, padded=stride == 1))
        return outputs

    def forward(self, states: Tensor) -> Tensor:
        return torch.cat([self._along(path, states) for path in self._paths], 1)

    def _along(self, path: Path, states: Tensor) -> Tensor:
        for step in path:
            if step == "mean":
                states = nn.functional.avg_pool2d(states, 3, stride=1, padding=1)
            elif step == "max":
                states = nn.functional.max_pool2d(states, 3, stride=2)
            else:
                assert not isinstance(step, str)
                states = torch.cat([self.get_submodule(one[0])(states) for one in _parallel(step)], 1)
        return states


def _parallel(step: Step | tuple[Step, Step]) -> Sequence[Step]:
    return step if isinstance(step[0], tuple) else (step,)


def _figure_5(inputs: int, pooled: int) -> Mixed:
    """The paper's figure 5: 35x35 places."""
    return Mixed(
        inputs,
        [("branch1x1", 64, 1)],
        [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)],
        ["mean", ("branch_pool", pooled, 1)],
    )


def _figure_6(inner: int) -> Mixed:
    """Figure 6: 17x17 places, 7x7 kernels taken apart."""
    return Mixed(
        768,
        [("branch1x1", 192, 1)],
        [("branch7x7_1", inner, 1), ("branch7x7_2", inner, (1, 7)), ("branch7x7_3", 192, (7, 1))],
        [
            ("branch7x7dbl_1", inner, 1),
            ("branch7x7dbl_2", inner, (7, 1)),
            ("branch7x7dbl_3", inner, (1, 7)),
            ("branch7x7dbl_4", inner, (7, 1)),
            ("branch7x7dbl_5", 192, (1, 7)),
        ],
        ["mean", ("branch_pool", 192, 1)],
    )


def _figure_7(inputs: int) -> Mixed:
    """Figure 7: 8x8 places, 3x3 kernels side by side."""
    wide, high = ("branch3x3_2a", 384, (1, 3)), ("branch3x3_2b", 384, (3, 1))
    last = ("branch3x3dbl_3a", 384, (1, 3)), ("branch3x3dbl_3b", 384, (3, 1))
    return Mixed(
        inputs,
        [("branch1x1", 320, 1)],
        [("branch3x3_1", 384, 1), (wide, high)],
        [("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3), last],
        ["mean", ("branch_pool", 192, 1)],
    )


def _halved_35() -> Mixed:
    return Mixed(
        288,
        [("branch3x3", 384, 3, 2)],
        [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3, 2)],
        ["max"],
    )


def _halved_17() -> Mixed:
    return Mixed(
        768,
        [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3, 2)],
        [
            ("branch7x7x3_1", 192, 1),
            ("branch7x7x3_2", 192, (1, 7)),
            ("branch7x7x3_3", 192, (7, 1)),
            ("branch7x7x3_4", 192, 3, 2),
        ],
        ["max"],
    )


class Inception(nn.Module):
    """Pictures to the 2048 features in front of the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Convolution(3, 32, 3, stride=2, padded=False)
        self.Conv2d_2a_3x3 = Convolution(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = Convolution(32, 64, 3)
        self.Conv2d_3b_1x1 = Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = Convolution(80, 192, 3, padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _figure_5(192, 32), _figure_5(256, 64), _figure_5(288, 64)
        self.Mixed_6a = _halved_35()
        self.Mixed_6b, self.Mixed_6c = _figure_6(128), _figure_6(160)
        self.Mixed_6d, self.Mixed_6e = _figure_6(160), _figure_6(192)
        self.Mixed_7a = _halved_17()
        self.Mixed_7b, self.Mixed_7c = _figure_7(1280), _figure_7(2048)

    @torch.no_grad()
    def forward(self, pictures: Float[Tensor, "n 3 H W"]) -> Float[Tensor, "n 2048"]:
        """Features of pictures in 0..1, which enter as the published evaluation has them enter."""
        states = published_inception_input(pictures)
        pool = nn.functional.max_pool2d
        states = pool(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(states))), 3, stride=2)
        states = pool(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(states)), 3, stride=2)
        for name, layer in self.named_children():
            if name.startswith("Mixed"):
                states = layer(states)
        return states.mean((2, 3))


def load_inception(device: torch.device | str = "cpu") -> Inception:
    """The network with the pulled weights; WeightsError says how to get them."""
    with torch.device("meta"):
        shapes = Inception()
    network = shapes.to_empty(device="cpu")
    load_strictly(network, judge_tensors(INCEPTION, "inception"), INCEPTION)
    return network.eval().requires_grad_(False).to(device)
