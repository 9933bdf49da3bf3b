"""`mcld-anim synth presets`: what each `--preset` costs, and how good its frames are, on dances with rendered truth."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from mcld_anim.evaluate.embedded import load_embedded_models
from mcld_anim.evaluate.stability import ClipMetrics, dance_frames, draw_clip
from mcld_anim.metrics.pictures import psnr, ssim
from mcld_anim.model.appearance import encode_source
from mcld_anim.model.feature_reuse import FeatureReuse
from mcld_anim.model.load import LoadedModels
from mcld_anim.model.operations import step_operations
from mcld_anim.options.model import ModelOptions, load_model_options
from mcld_anim.options.preset import PRESETS
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.sampling.schedule import make_sampler
from mcld_anim.sampling.settings import SamplingSettings, preset_settings
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED, check_held_out
from mcld_anim.synthetic.person import Rendering

PUBLISHED = "mcld_sd15"


@dataclass(frozen=True)
class PresetEvaluationOptions:
    """What `synth presets` measures."""

    people: int = 4  # who dance
    frames: int = 16  # of each dance
    first_seed: int = FIRST_EVALUATION_SEED

    def __post_init__(self) -> None:
        check_held_out(self.first_seed)


@dataclass
class _Measured:
    """One preset's values, frame by frame."""

    clip: ClipMetrics = field(default_factory=ClipMetrics)
    person_psnr: list[float] = field(default_factory=list)
    ssim: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def described(self) -> dict[str, float]:
        frames = len(self.ssim)
        return {
            "psnr": float(np.mean(self.clip.psnr)),
            "person_psnr": float(np.mean(self.person_psnr)),
            "ssim": float(np.mean(self.ssim)),
            "texture_change": float(np.mean(self.clip.change)),
            "seconds_per_frame": self.seconds / frames,
        }


def preset_metrics(
    options: PresetEvaluationOptions,
    models: LoadedModels | None = None,
    on_clip: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, dict[str, Any]]:
    """By preset, means over all frames of the embedded model (or `models`), with the settings of `run`.

    psnr (dB), ssim: of the whole frame; person_psnr (dB): inside the truth's person mask; texture_change: grey levels a
    texel changes from frame to frame, see `evaluate.stability`; seconds_per_frame: synthesis alone, in batches of 4,
    after one frame for warm-up; steps; published_tflop: multiplications and additions of the published denoiser for a
    frame, in 1e12.
    """
    models = models or load_embedded_models()
    measured = {name: _Measured() for name in PRESETS}
    done, total = 0, options.people * len(PRESETS)
    for number in range(options.people):
        photo, truths = draw_clip(options.first_seed + number, options.frames, models.mcld.options.frame_size[0])
        source = encode_source(photo.picture, photo.iuv, models.mcld, models.face_in(photo.picture, photo.iuv))
        for name in PRESETS:
            settings = preset_settings(name, models.mcld.options)
            if number == 0:
                list(dance_frames(FrameMaker(models.mcld, source, settings), truths[:1]))
            _measure(measured[name], FrameMaker(models.mcld, source, settings), truths)
            done += 1
            on_clip(done, total)
    published = load_model_options(PUBLISHED)
    return {
        name: {
            **of_one.described(),
            "steps": preset_settings(name, models.mcld.options).steps,
            "published_tflop": denoiser_operations(preset_settings(name, published), published) / 1e12,
        }
        for name, of_one in measured.items()
    }


def denoiser_operations(settings: SamplingSettings, model: ModelOptions) -> int:
    """Multiplications and additions of the denoiser over all steps of one frame."""
    scheduler = make_sampler(model.schedule, settings.sampler)
    scheduler.set_timesteps(settings.steps)
    levels = [int(timestep) / model.schedule.train_steps for timestep in scheduler.timesteps]
    reuse, operations = FeatureReuse(settings.reuse_features), 0
    for guided in (settings.guidance_at(level) > 1 for level in levels):
        shallow = reuse.deep(guided) is not None
        if not shallow:
            reuse.keep(torch.empty(1 + guided, device="meta"), guided)
        operations += step_operations(model, guided, shallow)
    return operations


def _measure(measured: _Measured, maker: FrameMaker, truths: list[Rendering]) -> None:
    began = time.perf_counter()
    pictures = list(dance_frames(maker, truths))
    measured.seconds += time.perf_counter() - began
    measured.clip.add(pictures, truths)
    for picture, truth in zip(pictures, truths, strict=True):
        measured.person_psnr.append(psnr(picture, truth.picture, truth.iuv[..., 0] > 0))
        measured.ssim.append(ssim(picture, truth.picture))
