"""`--offload`: networks rest in main memory and are on the accelerator only while they are used.

Weights do not change, so a network comes back by going on with what is in main memory: nothing is copied from the
accelerator. On CUDA that memory is pinned, so that a copy runs at the rate of the bus and the CPU does not wait for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Offload:
    """Which networks are on the accelerator."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._resting: dict[nn.Module, dict[str, Tensor]] = {}  # the weights in main memory of networks used before
        self._there: set[nn.Module] = set()

    @contextmanager
    def using(self, *parts: nn.Module) -> Iterator[None]:
        """Within, these networks are on the accelerator; those that were not go back to rest."""
        brought = [part for part in parts if part not in self._there]
        try:
            for part in brought:
                self._there.add(part)
                self.bring(part)
            yield
        finally:
            for part in brought:
                self.leave(part)
                self._there.discard(part)

    def bring(self, part: nn.Module) -> None:
        """Copy a network's weights to the accelerator."""
        if part not in self._resting:
            self._resting[part] = {name: self._kept(weight) for name, weight in part.state_dict().items()}
        copies = {name: weight.to(self.device, non_blocking=True) for name, weight in self._resting[part].items()}
        part.load_state_dict(copies, assign=True)

    def leave(self, part: nn.Module) -> None:
        """Go back to the weights in main memory."""
        part.load_state_dict(self._resting[part], assign=True)

    def _kept(self, weight: Tensor) -> Tensor:
        return weight.pin_memory() if self.device.type == "cuda" else weight
