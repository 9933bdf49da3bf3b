"""Strict loading of weights: every key once, every shape as the network is built."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from mcld_anim.core.errors import WeightsError

BELONG_TOGETHER = "use the file and the model configuration that belong together"


def load_strictly(
    network: nn.Module,
    state: Mapping[str, Tensor],
    name: str,
    unused: tuple[str, ...] = (),
    remedy: str = BELONG_TOGETHER,
) -> None:
    """Copy `state` into the network's own parameters and buffers; raises as `fitting` does."""
    network.load_state_dict(fitting(network, state, name, unused, remedy))


def adopt_strictly(
    network: nn.Module,
    state: Mapping[str, Tensor],
    name: str,
    remedy: str = BELONG_TOGETHER,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> None:
    """Make the tensors of `state` the network's own, on `device` and, where floating, in `dtype` (None: their own).

    Nothing is copied that lies there already, and the network may have been built without memory
    (`torch.device("meta")`); raises as `fitting` does.
    """
    placed = {
        key: tensor.to(device, dtype if tensor.is_floating_point() else None)
        for key, tensor in fitting(network, state, name, remedy=remedy).items()
    }
    network.load_state_dict(placed, assign=True)


def fitting(
    network: nn.Module,
    state: Mapping[str, Tensor],
    name: str,
    unused: tuple[str, ...] = (),
    remedy: str = BELONG_TOGETHER,
) -> dict[str, Tensor]:
    """`state` without keys that match a pattern of `unused`, if it has exactly the keys and shapes of the network.

    Raises WeightsError naming every missing, unexpected or wrongly shaped key; its message ends with `remedy`.
    """
    wanted = network.state_dict()
    state = {key: value for key, value in state.items() if key in wanted or not _matches_any(key, unused)}
    shapes = {
        key: f"{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in wanted.items()
        if key in state and state[key].shape != value.shape
    }
    problems = [
        f"{word} {_shortened(keys)}"
        for word, keys in (
            ("missing", sorted(wanted.keys() - state.keys())),
            ("unexpected", sorted(state.keys() - wanted.keys())),
            ("of another size:", sorted(shapes.values())),
        )
        if keys
    ]
    if problems:
        raise WeightsError(f"the weights {name!r} do not fit this model ({'; '.join(problems)}): {remedy}")
    return state


def _matches_any(key: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def _shortened(keys: list[str], most: int = 8) -> str:
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + more
