"""Whole frames of an architecture with random weights, by preset: from a photo and poses to pictures in main memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from typing import Any

import torch

from mcld_anim.bench.networks import random_mcld
from mcld_anim.bench.timing import timed
from mcld_anim.body.clip import ClipFrame, FramePose, clip_frames, with_links
from mcld_anim.core.ahead import ahead
from mcld_anim.core.errors import UnfinishedError
from mcld_anim.model.appearance import SourceAppearance, encode_source
from mcld_anim.model.build import Mcld
from mcld_anim.options.model import ModelOptions
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.sampling.settings import preset_settings
from mcld_anim.setup.rehearsal import block_person
from mcld_anim.synthetic.samples import FRAMES_PER_SECOND, dance_renderings

RENDERED = 8
"""Frames of the dance that are rendered; the clip repeats them."""


@dataclass(frozen=True)
class PresetTimes:
    """The frames of one clip with one preset, made as `run` does: links between frames are found in a thread ahead."""

    steps: int
    frames: int  # on an accelerator after one batch for warm-up
    source: float  # seconds: encoding the source
    compiling: float  # seconds, 0 without `--compile`
    synthesis: float  # seconds a frame: the pose's features, all steps with blending, decoding, and the picture's copy
    peak_bytes: int | None  # of the accelerator; None without one

    @property
    def seconds_per_frame(self) -> float:
        """With the source's share in a clip of so many frames."""
        return self.synthesis + self.source / self.frames

    def described(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "seconds_per_frame": self.seconds_per_frame}


def preset_times(
    options: ModelOptions,
    device: torch.device,
    dtype: torch.dtype,
    presets: Sequence[str],
    batch: int,
    frames: int,
    compiled: bool,
    on_preset: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, PresetTimes]:
    """`frames` frames in batches of `batch` by each of `presets`, compiled or not."""
    mcld, poses = random_mcld(options, device, dtype), _dance(options.frame_size[0])
    found = {}
    for number, name in enumerate(presets):
        on_preset(number, len(presets))
        found[name] = _timed(mcld, name, poses, batch, frames, compiled)
    on_preset(len(presets), len(presets))
    return found


def _dance(size: int) -> list[FramePose]:
    """Poses that go forth and back."""
    there = [FramePose(one.iuv) for one in dance_renderings(seconds=RENDERED / FRAMES_PER_SECOND, size=size)]
    return [*there, *there[-2:0:-1]]


def _timed(mcld: Mcld, preset: str, poses: list[FramePose], batch: int, frames: int, compiled: bool) -> PresetTimes:
    device, settings, warm_up = mcld.like.device, preset_settings(preset, mcld.options), mcld.like.is_cuda
    if warm_up:
        torch.cuda.reset_peak_memory_stats(device)
    sources: list[SourceAppearance] = []
    person = block_person(mcld.options.frame_size)
    encoding = timed(lambda: sources.append(encode_source(*person, mcld)), 1, device, int(warm_up))
    maker = FrameMaker(mcld, sources[-1], settings)
    compiling = timed(lambda: maker.compile(batch, _refuse), 1, device, warm_up=0).median if compiled else 0.0
    clip = clip_frames(cycle(poses))
    if warm_up:
        maker.make(list(islice(clip, batch)))
    measured = _batches(islice(clip, frames), batch)
    synthesis = timed(lambda: [maker.make(part) for part in measured], 1, device, warm_up=0)
    peak = torch.cuda.max_memory_allocated(device) if warm_up else None
    return PresetTimes(settings.steps, frames, encoding.median, compiling, synthesis.median / frames, peak)


def _batches(clip: Iterator[ClipFrame], batch: int) -> Iterator[list[ClipFrame]]:
    drawn = ahead(with_links(clip), batch)
    return iter(lambda: list(islice(drawn, batch)), [])


def _refuse(reason: str) -> None:
    raise UnfinishedError(f"torch could not compile the network's layers: {reason}")
