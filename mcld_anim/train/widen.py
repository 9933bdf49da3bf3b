"""Widen or deepen a trained DensePose network without changing its outputs, to train it further.

As in Net2Net (Chen, Goodfellow, Shlens 2016): old channels keep their weights and initially ignore the new ones, new
channels start from fresh weights, and added residual blocks start as the identity.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from mcld_anim.core.errors import WeightsError
from mcld_anim.pose.tiny_network import TinyDensePose

MERGED = re.compile(r"merge\.\d+\.0\.weight")
"""Names of the convolutions whose input is two concatenated maps, each of which may have grown."""


def widen_into(network: TinyDensePose, narrow: Mapping[str, Tensor]) -> None:
    """Fill a fresh `network` from the state of one that is nowhere wider or deeper.

    Raises WeightsError if it is, or if the attention's width differs.
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
    """Write `old` to the first rows of `new`, in place, with zero weights for the new inputs of these rows."""
    if old.ndim < 2:
        new[: len(old)] = old
        return
    new[: len(old)] = 0.0
    kept, step = old.shape[1] // halves, new.shape[1] // halves
    for part in range(halves):
        new[: len(old), part * step : part * step + kept] = old[:, part * kept : (part + 1) * kept]
