"""CUDA graphs of the denoiser's steps: a step is launched as a whole instead of kernel by kernel.

For a few frames a CPU takes longer to launch a step's thousands of kernels than a GPU takes to run them. All steps of a
kind do the same to tensors of the same shapes, so they are recorded once and replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from mcld_anim.model.attention import DenoiserContext, ProjectedAppearance
from mcld_anim.model.feature_reuse import Layers, run_layers

Kind: TypeAlias = tuple[torch.Size, int, bool]
"""What steps have to share to be replayed from one graph: the inputs' shape, unconditional rows, all layers or few."""

Results: TypeAlias = tuple[Tensor, Tensor]
Record: TypeAlias = Callable[[Callable[[], Results]], tuple[Results, Callable[[], None]]]
"""Runs some work once and records it; returns the tensors that its results are in, and what runs it again."""


class GraphedLayers:
    """`run_layers`, replayed. A graph holds the memory that its step takes; it reads weights and source where they are.

    The deep features that are returned are overwritten by the next step of the kind that makes them. Steps of another
    source than the first one, such as those of a morph, run as they are; so do all where memory is too short.
    """

    def __init__(self, layers: Layers = run_layers, record: Record | None = None) -> None:
        """`layers`: `run_layers`, as it is or compiled. `record`: None for CUDA's."""
        self._layers, self._record = layers, record or _recorder()
        self._appearance: ProjectedAppearance | None = None
        self._graphs: dict[Kind, _Graph | None] = {}
        self._gave_up = False

    def __call__(
        self,
        unet: UNet2DConditionModel,
        inputs: Tensor,
        timesteps: Tensor,
        context: DenoiserContext,
        deep: Tensor | None = None,
    ) -> Results:
        """As `run_layers`."""
        if self._appearance is None:
            self._appearance = context.appearance
        if self._gave_up or context.appearance is not self._appearance:
            return self._layers(unet, inputs, timesteps, context, deep)
        kind = inputs.shape, context.unconditional_rows, deep is None
        if kind not in self._graphs:  # the first step loads kernels and may compile, which cannot be recorded
            self._graphs[kind] = None
            return self._layers(unet, inputs, timesteps, context, deep)
        given = [inputs, timesteps] if deep is None else [inputs, timesteps, deep]
        graph = self._graphs[kind]
        if graph is None:
            places = [tensor.clone() for tensor in given]
            try:
                graph = _Graph(places, *self._record(_work(self._layers, unet, places, context)))
            except RuntimeError:  # of which running out of memory is one; what else is wrong happens again at once
                self.give_up()
                return self._layers(unet, inputs, timesteps, context, deep)
            self._graphs[kind] = graph
        return graph.run(given)

    def give_up(self) -> None:
        """Free the memory of all graphs; from now on steps run as they are."""
        self._gave_up = True
        self._graphs.clear()
        torch.cuda.empty_cache()  # does nothing without CUDA


class _Graph:
    """The recorded step of one kind."""

    def __init__(self, places: list[Tensor], results: Results, replay: Callable[[], None]) -> None:
        self._places, self._results, self._replay = places, results, replay

    def run(self, given: list[Tensor]) -> Results:
        for place, tensor in zip(self._places, given, strict=True):
            place.copy_(tensor)
        self._replay()
        predicted, deep = self._results
        return predicted.clone(), deep


def _work(
    layers: Layers, unet: UNet2DConditionModel, places: list[Tensor], context: DenoiserContext
) -> Callable[[], Results]:
    inputs, timesteps, *deep = places
    return lambda: layers(unet, inputs, timesteps, context, *deep)


def _recorder() -> Record:
    """CUDA's recording; the graphs of one recorder share their memory."""
    pool = torch.cuda.graph_pool_handle()

    def record(work: Callable[[], Results]) -> tuple[Results, Callable[[], None]]:
        graph = torch.cuda.CUDAGraph()
        # Other threads may use the device meanwhile.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            results = work()
        return results, graph.replay

    return record
