"""Steps replayed from graphs are the steps themselves, and what may not be replayed runs as it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mcld_anim.model.attention import DenoiserContext
from mcld_anim.model.build import Mcld
from mcld_anim.model.feature_reuse import run_layers
from mcld_anim.model.footprint import meta_appearance
from mcld_anim.model.graphs import GraphedLayers, Results


class Recorder:
    """Stands for CUDA's: a replay runs the work again and puts its results where the first ones were."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, work: Callable[[], Results]) -> tuple[Results, Callable[[], None]]:
        self.recorded += 1
        results = work()

        def replay() -> None:
            self.replayed += 1
            for place, result in zip(results, work(), strict=True):
                place.copy_(result)

        return results, replay


@pytest.fixture
def context(mcld: Mcld) -> DenoiserContext:
    appearance = meta_appearance(mcld)
    kept = {
        name: {layer: type(kv)(*(torch.randn(part.shape) for part in kv)) for layer, kv in layers.items()}
        for name, layers in vars(appearance).items()
        if name != "rows"
    }
    return DenoiserContext(type(appearance)(appearance.rows, **kept), unconditional_rows=2)


@torch.inference_mode()
def test_every_step_is_the_one_that_was_asked_for(mcld: Mcld, context: DenoiserContext) -> None:
    recorder, unet = Recorder(), mcld.denoiser.unet
    graphed = GraphedLayers(record=recorder)
    kept: list[tuple[Tensor, Tensor]] = []
    for step in range(4):
        inputs, timesteps = _inputs(mcld, step)
        expected, deep = run_layers(unet, inputs, timesteps, context)
        predicted, made = graphed(unet, inputs, timesteps, context)
        torch.testing.assert_close((predicted, made), (expected, deep))
        shallow, _ = graphed(unet, inputs, timesteps, context, made)
        torch.testing.assert_close(shallow, run_layers(unet, inputs, timesteps, context, deep)[0])
        kept.append((predicted, expected))
    assert (recorder.recorded, recorder.replayed) == (2, 6)  # all layers and few; the first step of each is not
    for predicted, expected in kept:  # a sampler may hold on to what was predicted
        torch.testing.assert_close(predicted, expected)


@torch.inference_mode()
def test_another_source_is_not_replayed(mcld: Mcld, context: DenoiserContext) -> None:
    recorder, unet = Recorder(), mcld.denoiser.unet
    graphed, (inputs, timesteps) = GraphedLayers(record=recorder), _inputs(mcld, 0)
    for _ in range(3):
        graphed(unet, inputs, timesteps, context)
    louder = {layer: type(kv)(kv.keys, 3 * kv.values) for layer, kv in context.appearance.tokens.items()}
    other = DenoiserContext(type(context.appearance)(1, context.appearance.reference, louder, {}), unconditional_rows=2)
    predicted, _ = graphed(unet, inputs, timesteps, other)
    torch.testing.assert_close(predicted, run_layers(unet, inputs, timesteps, other)[0])
    assert recorder.replayed == 2


@torch.inference_mode()
def test_fewer_frames_have_a_graph_of_their_own(mcld: Mcld, context: DenoiserContext) -> None:
    recorder, unet = Recorder(), mcld.denoiser.unet
    graphed, (inputs, timesteps) = GraphedLayers(record=recorder), _inputs(mcld, 0)
    for rows in (4, 4, 3, 3, 4):
        given = inputs[:rows], timesteps[:rows], DenoiserContext(context.appearance, unconditional_rows=rows - 2)
        torch.testing.assert_close(graphed(unet, *given), run_layers(unet, *given))
    assert (recorder.recorded, recorder.replayed) == (2, 3)
    graphed.give_up()
    for _ in range(3):
        graphed(unet, inputs, timesteps, context)
    assert recorder.replayed == 3


@torch.inference_mode()
def test_without_memory_for_a_graph_steps_run_as_they_are(mcld: Mcld, context: DenoiserContext) -> None:
    tried: list[int] = []

    def record(_work: Callable[[], Results]) -> tuple[Results, Callable[[], None]]:
        tried.append(1)
        raise torch.OutOfMemoryError("out of memory")

    graphed, (inputs, timesteps) = GraphedLayers(record=record), _inputs(mcld, 0)
    for _ in range(4):
        made = graphed(mcld.denoiser.unet, inputs, timesteps, context)
        torch.testing.assert_close(made, run_layers(mcld.denoiser.unet, inputs, timesteps, context))
    assert len(tried) == 1


def _inputs(mcld: Mcld, seed: int) -> tuple[Tensor, Tensor]:
    options, generator = mcld.options.unet, torch.Generator().manual_seed(seed)
    channels = options.in_channels + options.block_out_channels[0]
    inputs = torch.randn((4, channels, *mcld.options.latent_size), generator=generator)
    return inputs, torch.full((4,), 100 * (seed + 1))
