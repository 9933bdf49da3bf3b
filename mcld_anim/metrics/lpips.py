"""LPIPS, the learned perceptual distance of two pictures (Zhang et al. 2018, arXiv 1801.03924, equation 1).

    d(x, y) = sum over layers l of mean over places of  w_l . (f_l(x) - f_l(y))^2

f_l are AlexNet's activations, scaled to unit length over channels, and w_l the published weights, version 0.1: what the
published evaluation computes by the package `lpips` with `net="alex", normalize=True`. That package and torchmetrics
build AlexNet by torchvision, which this project does not need; the network is therefore built here, and tests compare
the result with torchmetrics'.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mcld_anim.metrics.judges import judge_tensors
from mcld_anim.weights.published import LPIPS
from mcld_anim.weights.strict import load_strictly

CHANNELS = (64, 192, 384, 256, 256)
"""Of AlexNet's five convolutions, after whose ReLUs pictures are compared."""
RELUS = (1, 4, 7, 9, 11)
"""Their places in torchvision's `features`."""
MEAN, DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""ImageNet's, of pixels in -1..1."""
LEAST_LENGTH = 1e-10
"""Added to a vector's length, as published: one of zeros stays zero."""


class Lpips(nn.Module):
    """The network; its weights are not trained here."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
        )
        self.heads = nn.ModuleList(nn.Conv2d(channels, 1, 1, bias=False) for channels in CHANNELS)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)

    @torch.no_grad()
    def forward(self, first: Float[Tensor, "n 3 H W"], second: Float[Tensor, "n 3 H W"]) -> Float[Tensor, " n"]:
        """The distance of each pair of pictures with values in 0..1; 0 for equal ones."""
        distance = first.new_zeros(len(first))
        for head, one, other in zip(self.heads, self._activations(first), self._activations(second), strict=True):
            distance = distance + head((one - other) ** 2).mean((1, 2, 3))
        return distance

    def _activations(self, pictures: Tensor) -> list[Tensor]:
        """Of every compared layer (n, C, h, w), of unit length over C."""
        states, found = (pictures * 2 - 1 - self.mean) / self.deviation, []
        for place, layer in enumerate(self.features):
            states = layer(states)
            if place in RELUS:
                found.append(states / (states.square().sum(1, keepdim=True).sqrt() + LEAST_LENGTH))
        return found


def load_lpips(device: torch.device | str = "cpu") -> Lpips:
    """LPIPS with the pulled weights; WeightsError says how to get them."""
    network = Lpips()
    tensors = judge_tensors(LPIPS, "alexnet", "heads")
    places = {f"lin{number}.model.1.weight": f"heads.{number}.weight" for number in range(len(CHANNELS))}
    load_strictly(network, {places.get(key, key): value for key, value in tensors.items()}, LPIPS)
    return network.eval().requires_grad_(False).to(device)
