"""A trained DensePose network becomes a wider or deeper one that says the same, to be trained further.

As in Net2Net (Chen, Goodfellow, Shlens 2016): old channels keep their weights and hear nothing of the new ones at
first, new channels begin fresh, added residual blocks begin as the identity.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from mcld_anim.core.errors import WeightsError
from mcld_anim.pose.tiny_network import TinyDensePose

MERGED = re.compile(r"merge\.\d+\.0\.weight")
"""Convolutions whose inputs are two maps one behind the other, each of which grew."""


def widen_into(network: TinyDensePose, narrow: Mapping[str, Tensor]) -> None:
    """Fill a freshly made `network` from the state of one that is nowhere wider or deeper.

    Raises WeightsError where it is, or where the attention's width differs.
    """
    wide = network.state_dict()
    for name, old in narrow.items():
        new = wide.get(name)
        if new is None or new.ndim != old.ndim or any(n < o for n, o in zip(new.shape, old.shape, strict=True)):
            raise WeightsError(f"{name} {tuple(old.shape)} does not fit into this network: it must be wider or deeper")
        if name.startswith("attention.") and new.shape != old.shape:
            raise WeightsError(f"{name} {tuple(old.shape)} became {tuple(new.shape)}: keep the last width")
        if old.ndim == 0:  # a counter
            new.copy_(old)
            continue
        with torch.no_grad():
            _copy(old, new, halves=2 if MERGED.fullmatch(name) else 1)


def _copy(old: Tensor, new: Tensor, halves: int) -> None:
    """Write `old` to the first rows of `new` (in place), and zeros to what else these rows take in."""
    if old.ndim < 2:
        new[: len(old)] = old
        return
    new[: len(old)] = 0.0
    kept, step = old.shape[1] // halves, new.shape[1] // halves
    for part in range(halves):
        new[: len(old), part * step : part * step + kept] = old[:, part * kept : (part + 1) * kept]
