"""The networks of a model on random weights, built in memory: speed does not depend on what they have learned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from mcld_anim.bench.timing import Timing, timed
from mcld_anim.model.appearance import SourceAppearance, encode_source
from mcld_anim.model.build import Mcld, build_mcld
from mcld_anim.model.footprint import denoiser_step
from mcld_anim.model.graphs import GraphedLayers
from mcld_anim.model.load import restore_constants
from mcld_anim.model.operations import step_operations
from mcld_anim.options.model import ModelOptions
from mcld_anim.setup.rehearsal import block_person

PATTERN = 1 << 20
"""Numbers of the block of noise that weights repeat: drawing them all would take longer than the measurement."""


@dataclass(frozen=True)
class NetworkTimes:
    """One model in one number format."""

    step: Timing  # a guided step of one frame
    source: Timing  # the encoding of a source
    decode: Timing  # the VAE's decoding of one frame
    batched_step: Timing | None  # a guided step of `batch` frames
    batch: int
    operations: int  # of the guided step of one frame, multiplications and additions

    @property
    def gflops(self) -> float:
        """Rate of the guided step in 1e9 operations a second."""
        return self.operations / self.step.median / 1e9

    @property
    def source_in_steps(self) -> float:
        """Cost of the source in guided steps."""
        return self.source.median / self.step.median

    @property
    def decode_in_steps(self) -> float:
        """Cost of the decoding in guided steps."""
        return self.decode.median / self.step.median

    @property
    def batch_share(self) -> float | None:
        """Time per frame of a batched step, against one of a single frame."""
        return None if self.batched_step is None else self.batched_step.median / self.batch / self.step.median

    def described(self) -> dict[str, Any]:
        """For JSON."""
        timings = {name: getattr(self, name).described() for name in ("step", "source", "decode")}
        if self.batched_step is not None:
            timings["batched_step"] = self.batched_step.described()
        shares = {name: getattr(self, name) for name in ("gflops", "source_in_steps", "decode_in_steps", "batch_share")}
        return {**timings, **shares, "batch": self.batch, "operations": self.operations}


def network_times(
    options: ModelOptions,
    device: torch.device,
    dtype: torch.dtype,
    repeats: int,
    batch: int,
    quick: bool = False,
    on_part: Callable[[str], None] = lambda name: None,
) -> NetworkTimes:
    """Build a model of this architecture and measure it; `on_part` is told what is measured next.

    `quick`: every part once, without a warm-up and without the batched step.
    """
    if quick:
        repeats = 1
    warm_up = 0 if quick else 2  # where steps are replayed, the second records them
    layers = GraphedLayers() if device.type == "cuda" else None  # as `run` does
    on_part("weights")
    mcld = random_mcld(options, device, dtype)
    picture, iuv = block_person(options.frame_size)
    with torch.inference_mode():
        on_part("source")
        made: list[SourceAppearance] = []
        encoding = timed(lambda: made.append(encode_source(picture, iuv, mcld)), repeats, device, warm_up)
        source = made[-1]
        made.clear()
        on_part("step")
        step = timed(denoiser_step(mcld, source.projected, layers=layers), repeats, device, warm_up)
        on_part("batch")
        batched_step = denoiser_step(mcld, source.projected, batch, layers=layers)
        batched = None if quick else timed(batched_step, repeats, device, warm_up)
        on_part("decode")
        latents = torch.ones(1, options.vae.latent_channels, *options.latent_size, device=device, dtype=dtype)
        decode = timed(lambda: mcld.vae.decode(latents), repeats, device, warm_up)
    return NetworkTimes(step, encoding, decode, batched, batch, step_operations(options))


def random_mcld(options: ModelOptions, device: torch.device, dtype: torch.dtype) -> Mcld:
    """A model whose weights keep the scale of activations, so that no number overflows."""
    with torch.device("meta"):
        mcld = build_mcld(options)
    mcld = mcld.to(dtype).to_empty(device=device)
    noise = torch.randn(PATTERN, generator=torch.Generator().manual_seed(0)).to(device, dtype)
    for part in mcld.modules():
        for name, parameter in part.named_parameters(recurse=False):
            _fill(parameter, name, noise)
    for buffer in mcld.buffers():
        buffer.zero_()
    restore_constants(mcld, device)
    return mcld.requires_grad_(False).eval()


@torch.no_grad()
def _fill(parameter: nn.Parameter, name: str, noise: Tensor) -> None:
    if parameter.ndim < 2:
        parameter.fill_(1.0 if name == "weight" else 0.0)
        return
    scale, flat = float(parameter[0].numel()) ** -0.5, parameter.data.view(-1)
    for start in range(0, len(flat), PATTERN):
        part = flat[start : start + PATTERN]
        torch.mul(noise[: len(part)], scale, out=part)
