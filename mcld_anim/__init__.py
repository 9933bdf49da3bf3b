"""Animate one photo of a person with the motion of a driving video, by MCLD (CVPR 2025, arXiv 2503.15686).

    from mcld_anim import Animator

    animator = Animator.load("auto")
    result = animator.animate("me.jpg", "dance.mp4", output="out.mp4")

Every name below is imported when it is first used: `import mcld_anim` itself loads no other package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mcld_anim.core.version import __version__

if TYPE_CHECKING:
    from mcld_anim.animator import Animator
    from mcld_anim.core.errors import (
        InputError,
        McldAnimError,
        MissingDependencyError,
        OutputError,
        PictureError,
        PoseError,
        UnfinishedError,
        UsageError,
        VideoError,
        WeightsError,
    )
    from mcld_anim.core.events import Event
    from mcld_anim.options.extract import DensePoseOptions, ReportOptions, TextureOptions
    from mcld_anim.options.run import EditOptions, PoseOptions, RunOptions
    from mcld_anim.report.frames import FrameRow
    from mcld_anim.run.frames import Frame
    from mcld_anim.run.result import DensePoseResult, ReportResult, Result, TextureResult

_ORIGINS = {
    "Animator": "animator",
    "DensePoseOptions": "options.extract",
    "DensePoseResult": "run.result",
    "EditOptions": "options.run",
    "Event": "core.events",
    "Frame": "run.frames",
    "FrameRow": "report.frames",
    "InputError": "core.errors",
    "McldAnimError": "core.errors",
    "MissingDependencyError": "core.errors",
    "OutputError": "core.errors",
    "PictureError": "core.errors",
    "PoseError": "core.errors",
    "PoseOptions": "options.run",
    "ReportOptions": "options.extract",
    "ReportResult": "run.result",
    "Result": "run.result",
    "RunOptions": "options.run",
    "TextureOptions": "options.extract",
    "TextureResult": "run.result",
    "UnfinishedError": "core.errors",
    "UsageError": "core.errors",
    "VideoError": "core.errors",
    "WeightsError": "core.errors",
}
"""The modules that the public names live in."""

__all__ = [
    "Animator",
    "DensePoseOptions",
    "DensePoseResult",
    "EditOptions",
    "Event",
    "Frame",
    "FrameRow",
    "InputError",
    "McldAnimError",
    "MissingDependencyError",
    "OutputError",
    "PictureError",
    "PoseError",
    "PoseOptions",
    "ReportOptions",
    "ReportResult",
    "Result",
    "RunOptions",
    "TextureOptions",
    "TextureResult",
    "UnfinishedError",
    "UsageError",
    "VideoError",
    "WeightsError",
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name not in _ORIGINS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ORIGINS[name]}"), name)


def __dir__() -> list[str]:
    return __all__
