"""`--compile`: the denoiser's layers compiled by torch, which fuses what lies between matrix products."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException

from mcld_anim.model.attention import DenoiserContext
from mcld_anim.model.feature_reuse import Layers, run_layers


class CompiledLayers:
    """`run_layers` for batches of one size, whose shapes never change, so that each kind of step is compiled once."""

    def __init__(self, on_failure: Callable[[str], None]) -> None:
        """`on_failure(reason)` is called if the compiler fails; from then on the layers run as they are."""
        self._on_failure = on_failure
        self._compiled: Layers = torch.compile(run_layers, dynamic=False)
        self.failed = False

    def __call__(
        self,
        unet: UNet2DConditionModel,
        inputs: Tensor,
        timesteps: Tensor,
        context: DenoiserContext,
        deep: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As `run_layers`."""
        if not self.failed:
            try:
                return self._compiled(unet, inputs, timesteps, context, deep)
            except TorchDynamoException as error:
                self.failed = True
                self._on_failure(str(error).strip().partition("\n")[0])
        return run_layers(unet, inputs, timesteps, context, deep)


def filled_up(rows: Tensor, number: int) -> Tensor:
    """At least so many rows: the last one is repeated."""
    return rows if len(rows) >= number else torch.cat([rows, rows[-1:].expand(number - len(rows), *rows.shape[1:])])
