"""`--preset`: defaults for options that trade speed for quality, in `configs/run/*.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from mcld_anim.options.load import load_yaml

PRESETS = ("fast", "balanced", "best")


@dataclass(frozen=True)
class PresetOptions:
    """A preset's values for options that are not given."""

    step_scale: float = 1.0  # factor on the model's own number of steps
    guidance: float | None = None  # classifier-free guidance scale; None: the model's own
    guidance_interval: str = "0:1"  # see `SynthesisOptions.guidance_interval`
    sampler: str = "ddim"  # see `sampling.schedule.make_sampler`
    reuse_features: int = 1  # see `model.feature_reuse`


@cache
def load_preset(name: str) -> PresetOptions:
    """The bundled preset of that name."""
    return load_yaml(PresetOptions, name, folder="run")
