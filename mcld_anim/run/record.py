"""OUT.run.json: everything needed to document a result and to reproduce it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.device import peak_memory_bytes
from mcld_anim.core.stages import Stages
from mcld_anim.core.version import __version__, package_versions
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.load import to_mapping
from mcld_anim.options.preset import load_preset
from mcld_anim.options.run import SynthesisOptions
from mcld_anim.run.request import request_of
from mcld_anim.sampling.settings import SamplingSettings
from mcld_anim.source.face import Face

RECORDED_PACKAGES = (
    *("torch", "diffusers", "transformers", "numpy", "av", "opencv-python-headless", "pillow"),
    *("decord", "imageio-ffmpeg"),
)


def versions() -> dict[str, str]:
    """Versions of this program, Python, the operating system and the packages that shape the result."""
    return {
        "mcld-anim": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        **package_versions(RECORDED_PACKAGES),
    }


def resolved_options(
    options: SynthesisOptions, models: LoadedModels, settings: SamplingSettings, chosen: Mapping[str, str]
) -> dict[str, Any]:
    """All options, the open ones resolved; `chosen`: those that depend on the inputs."""
    return to_mapping(options) | {
        "model": models.name,
        "densepose": options.densepose if options.precomputed else models.pose_backend.name,
        "face": "none" if models.face_backend is None else models.face_backend.name,
        "device": str(models.device),
        "dtype": str(models.dtype).removeprefix("torch."),
        "steps": settings.steps,
        "step_scale": load_preset(options.preset).step_scale if options.step_scale is None else options.step_scale,
        "guidance": settings.guidance,
        "guidance_interval": "{:g}:{:g}".format(*settings.guidance_range),
        "sampler": settings.sampler,
        "offload": models.offload,
        "reuse_features": settings.reuse_features,
        **chosen,
    }


def describe_run(
    options: SynthesisOptions,
    output: Path | None,
    models: LoadedModels,
    weights: Mapping[str, str],
    settings: SamplingSettings,
    checksums: Checksums,
    stages: Stages,
    chosen: Mapping[str, str],
) -> dict[str, Any]:
    """The content of OUT.run.json. weights: SHA-256 by file name; `chosen` as in `resolved_options`."""
    resolved = resolved_options(options, models, settings, chosen)
    return {
        "options": resolved | {"output": None if output is None else str(output)},
        "request": request_of(options, checksums),
        "versions": versions(),
        "weights": dict(weights),
        "reader": dict(stages.readers),
        "inputs": checksums.of_all(options.inputs),
        "reused": list(stages.reused),
        "seconds": stages.rounded_seconds(),
        "synthesis_share": stages.synthesis_share,
        "peak_memory_bytes": peak_memory_bytes(models.device),
        "events": describe_events(stages),
    }


def describe_summary(models: LoadedModels, face: Face | None, stages: Stages) -> dict[str, Any]:
    """The summary of a report, without the totals of its frames; `face`: the source's."""
    backend = models.face_backend
    return {
        "source_face_found": face is not None,
        "model": models.name,
        "face_backend": None if backend is None else backend.name,
        "face_scale": None if backend is None else backend.scale,
        "face_threshold": None if backend is None else backend.threshold,
        "densepose_backend": models.pose_backend.name,
        "events": describe_events(stages),
    }


def describe_events(stages: Stages) -> list[dict[str, str]]:
    """The events of a run, for JSON."""
    return [{"kind": event.kind, "message": event.message} for event in stages.events]
