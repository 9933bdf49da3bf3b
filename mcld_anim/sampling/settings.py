"""How the frames of a clip are sampled: the settings of all, and what another attempt at one changes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcld_anim.options.model import ModelOptions
from mcld_anim.options.preset import load_preset
from mcld_anim.options.run import RunOptions, SynthesisOptions, guidance_range


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """The resolved sampling options of one clip."""

    steps: int
    guidance: float  # classifier-free guidance scale, 1 = off
    seed: int
    noise: str  # "shared", "mixed:ALPHA" or "independent"
    blend: float  # strength of blending with the frame before, 0 = off
    sampler: str = "ddim"
    guidance_range: tuple[float, float] = (0.0, 1.0)  # shares of the noise steps in which guidance is on
    blending: str = "surface"  # along the "surface", or in place ("neighbour")
    decoded: int | None = None  # frames decoded at a time; None: the whole batch
    vae_tiling: bool = False  # decode in tiles, see `model.vae_tiles`
    reuse_features: int = 1  # the deep layers run at every so many steps, see `model.feature_reuse`
    graphs: bool = True  # on CUDA steps are replayed, which takes the memory of a step once more, see `model.graphs`

    def guidance_at(self, level: float) -> float:
        """The guidance scale at a share of the noise steps, 1 being pure noise (Kynkäänniemi et al. 2024, arXiv
        2404.07724); 1 is off."""
        low, high = self.guidance_range
        return self.guidance if low <= level <= high else 1.0


@dataclass(frozen=True)
class Attempt:
    """The changes to the settings in one attempt at a frame."""

    face_weight: float = 1.0  # factor on the weight of the face branch
    seed_shift: int = 0  # added to the seed
    step_factor: int = 1  # factor on the steps


FIRST_ATTEMPT = Attempt()


def sampling_settings(options: SynthesisOptions, model: ModelOptions) -> SamplingSettings:
    """The settings of a run, with open options filled in from the preset and the model."""
    preset, usual = load_preset(options.preset), model.sampling
    scale = preset.step_scale if options.step_scale is None else options.step_scale
    guidance = preset.guidance if options.guidance is None else options.guidance
    return SamplingSettings(
        steps=options.steps or max(1, round(usual.steps * scale)),
        guidance=usual.guidance if guidance is None else guidance,
        sampler=options.sampler or preset.sampler,
        guidance_range=guidance_range(options.guidance_interval or preset.guidance_interval),
        seed=options.seed,
        noise=options.noise if isinstance(options, RunOptions) else "shared",
        blend=options.blend if isinstance(options, RunOptions) else 0.0,
        blending=options.blending if isinstance(options, RunOptions) else "surface",
        vae_tiling=options.vae_tiling,
        reuse_features=options.reuse_features or preset.reuse_features,
    )


def preset_settings(name: str, model: ModelOptions) -> SamplingSettings:
    """The settings of `run` with a preset and nothing else."""
    return sampling_settings(RunOptions(source=Path("photo"), driving=Path("dance"), preset=name), model)  # type: ignore[arg-type]
