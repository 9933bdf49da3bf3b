"""Strict loading of weights: keys and shapes must be exactly the network's."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from mcld_anim.core.errors import WeightsError

DEFAULT_REMEDY = "use the file and the model configuration that belong together"


def load_strictly(
    network: nn.Module,
    state: Mapping[str, Tensor],
    name: str,
    unused: tuple[str, ...] = (),
    remedy: str = DEFAULT_REMEDY,
) -> None:
    """Copy `state` into the network's own parameters and buffers; raises as `checked_state` does."""
    network.load_state_dict(checked_state(network, state, name, unused, remedy))


def assign_strictly(
    network: nn.Module,
    state: Mapping[str, Tensor],
    name: str,
    remedy: str = DEFAULT_REMEDY,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
) -> None:
    """Assign the tensors of `state` to the network, on `device` and, if floating-point, in `dtype` (None: their own).

    Tensors already there are not copied, and the network may be on the meta device; raises as `checked_state` does.
    """
    placed = {
        key: tensor.to(device, dtype if tensor.is_floating_point() else None)
        for key, tensor in checked_state(network, state, name, remedy=remedy).items()
    }
    network.load_state_dict(placed, assign=True)


def checked_state(
    network: nn.Module,
    state: Mapping[str, Tensor],
    name: str,
    unused: tuple[str, ...] = (),
    remedy: str = DEFAULT_REMEDY,
) -> dict[str, Tensor]:
    """`state` without the keys that match a pattern in `unused`, checked against the network's keys and shapes.

    Raises WeightsError naming every missing, unexpected or wrongly shaped key; the message ends with `remedy`.
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
