"""`--compile`: what networks do, compiled by torch, which fuses what lies between matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException


class Compiled:
    """A function of tensors whose shapes never change, so that each kind of call is compiled once."""

    def __init__(self, function: Callable[..., Any], on_failure: Callable[[str], None]) -> None:
        """`on_failure(reason)` is called if the compiler fails; from then on the function runs as it is."""
        self._function, self._on_failure = function, on_failure
        self._compiled: Callable[..., Any] = torch.compile(function, dynamic=False)
        self.failed = False

    def __call__(self, *args: Any) -> Any:
        """As the function."""
        if not self.failed:
            try:
                return self._compiled(*args)
            except TorchDynamoException as error:
                self.failed = True
                self._on_failure(str(error).strip().partition("\n")[0])
        return self._function(*args)


def filled_up(rows: Tensor, number: int) -> Tensor:
    """At least so many rows: the last one is repeated."""
    return rows if len(rows) >= number else torch.cat([rows, rows[-1:].expand(number - len(rows), *rows.shape[1:])])
