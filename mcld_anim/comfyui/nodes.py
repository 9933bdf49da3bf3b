"""The nodes: Load MCLD, Source appearance, DensePose from video, Animate, Face report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcld_anim.animator import Animator
from mcld_anim.comfyui.images import batch, pictures
from mcld_anim.comfyui.running import Running
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.device import choose_device
from mcld_anim.core.errors import UsageError
from mcld_anim.core.temporary_folder import TemporaryFolder
from mcld_anim.model.choose import choose_model
from mcld_anim.options.domain import Domain, domains
from mcld_anim.options.estimators import DENSEPOSE_BACKENDS
from mcld_anim.options.run import MODEL_NAMES, RunOptions
from mcld_anim.pose.iuv_file import read_iuv_sequence
from mcld_anim.report.frames import FrameRow
from mcld_anim.run.array_inputs import video_file

CATEGORY = "mcld-anim"
WHOLE = 0
"""Value of a whole number that stands for "not given": ComfyUI has no empty number."""
MOST = 2**31 - 1
"""Largest number in ComfyUI's fields without a bound of their own."""


@dataclass(frozen=True)
class Source:
    """The photos of one person: MCLD_SOURCE."""

    photos: tuple[np.ndarray, ...]  # each uint8 (H, W, 3) RGB


@dataclass(frozen=True)
class DensePose:
    """The IUV of driving frames: MCLD_DENSEPOSE."""

    folder: TemporaryFolder  # goes with this object
    path: Path


def field(name: str, default: object = None) -> tuple[Any, dict[str, Any]]:
    """ComfyUI's field for an option of `run`, with its choices, range and default."""
    domain: Domain = domains(RunOptions)[name]
    usual: Any = getattr(RunOptions, name) if default is None else default
    if domain.choices:
        return list(domain.choices), {"default": usual}
    if str in domain.kinds:
        return "STRING", {"default": usual}
    least, most = (domain.range.least, domain.range.most) if domain.range else (0, None)
    kind = "FLOAT" if float in domain.kinds else "INT"
    return kind, {"default": usual, "min": min(least, usual), "max": most or MOST}


class LoadMcld:
    """The model and its estimators, loaded once."""

    CATEGORY, FUNCTION = CATEGORY, "load"
    RETURN_TYPES, RETURN_NAMES = ("MCLD_ANIMATOR",), ("animator",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The fields."""
        return {
            "required": {
                "model": (list(MODEL_NAMES), {"default": "auto"}),
                "densepose": (list(DENSEPOSE_BACKENDS), {"default": "auto"}),
                "face": field("face"),
                "device": field("device"),
                "dtype": field("dtype"),
            }
        }

    @classmethod
    def IS_CHANGED(cls, model: str, device: str, **_: str) -> str:
        """What "auto" stands for now, which changes when weights are pulled."""
        return choose_model(model, choose_device(device))

    def load(self, model: str, densepose: str, face: str, device: str, dtype: str) -> tuple[Animator]:
        """Load the networks."""
        running = Running()
        chosen: dict[str, Any] = {"densepose": densepose, "face": face, "device": device, "dtype": dtype}
        return (Animator.load(model, **chosen, on_event=running.event),)


class SourceAppearance:
    """One or several photos of the person to show; those of one size may come as one batch."""

    CATEGORY, FUNCTION = CATEGORY, "take"
    RETURN_TYPES, RETURN_NAMES = ("MCLD_SOURCE",), ("source",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The fields."""
        return {"required": {"photo": ("IMAGE",)}, "optional": {"photo_2": ("IMAGE",), "photo_3": ("IMAGE",)}}

    def take(self, photo: torch.Tensor, **more: torch.Tensor) -> tuple[Source]:
        """Collect the photos."""
        photos = [one for images in (photo, *more.values()) for one in pictures(images)]
        if len(photos) > 1 and not {tuple, list} & set(domains(RunOptions)["source"].kinds):
            raise UsageError(f"{len(photos)} photos were given to Source appearance: give one")
        return (Source(tuple(photos)),)


class DensePoseFromVideo:
    """The IUV of driving frames, estimated once for several results, with pictures of it."""

    CATEGORY, FUNCTION = CATEGORY, "estimate"
    RETURN_TYPES, RETURN_NAMES = ("MCLD_DENSEPOSE", "IMAGE"), ("densepose", "pictures")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The fields."""
        required = {"animator": ("MCLD_ANIMATOR",), "frames": ("IMAGE",), "fps": _rate(), "person": field("person")}
        return {"required": required, "hidden": {"unique_id": "UNIQUE_ID"}}

    def estimate(
        self, animator: Animator, frames: torch.Tensor, fps: float, person: str, unique_id: str | None = None
    ) -> tuple[DensePose, torch.Tensor]:
        """Estimate the pose of each frame."""
        running, folder = Running(unique_id), TemporaryFolder()
        video, path = video_file(pictures(frames), float(fps), folder.path), folder.path / "poses.zip"
        animator.densepose(
            video, output=path, person=person, progress=running.progress, on_event=running.event, overwrite=True
        )
        sequence = read_iuv_sequence(path)
        shown = batch(_coloured(sequence[index]) for index in range(len(sequence)))
        return DensePose(folder, path), shown


class Animate:
    """The person of the photos with the motion of driving frames, as a batch of frames."""

    CATEGORY, FUNCTION = CATEGORY, "animate"
    RETURN_TYPES, RETURN_NAMES = ("IMAGE", "MCLD_REPORT"), ("frames", "report")

    OPTIONS = ("preset", "seed", "framing", "retarget", "background", "batch_size", "steps", "max_frames")
    """Options of `run` that are fields; steps and max_frames may be `WHOLE`."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The fields."""
        linked = {
            "animator": ("MCLD_ANIMATOR",),
            "source": ("MCLD_SOURCE",),
            "driving": ("IMAGE",),
            "fps": _rate(),
        }
        fields = {name: field(name, WHOLE if getattr(RunOptions, name) is None else None) for name in cls.OPTIONS}
        return {
            "required": linked | fields,
            "optional": {"densepose": ("MCLD_DENSEPOSE",)},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    def animate(
        self,
        animator: Animator,
        source: Source,
        driving: torch.Tensor,
        fps: float,
        densepose: DensePose | None = None,
        unique_id: str | None = None,
        **options: Any,
    ) -> tuple[torch.Tensor, list[FrameRow]]:
        """Make the frames; an interruption ends the work after a batch of them."""
        running = Running(unique_id)
        given = {name: value for name, value in options.items() if (name, value) not in _not_given()}
        if densepose is not None:
            given["densepose"] = str(densepose.path)
        photo: Any = source.photos[0] if len(source.photos) == 1 else source.photos
        frames = animator.frames(
            photo, pictures(driving), fps=float(fps), progress=running.progress, on_event=running.event, **given
        )
        made, rows = list[np.ndarray](), list[FrameRow]()
        for frame in frames:
            running.check()
            made.append(frame.picture)
            rows.append(frame.row)
        return batch(made), rows


class FaceReport:
    """How similar the faces of the frames are to the source's."""

    CATEGORY, FUNCTION, OUTPUT_NODE = CATEGORY, "report", True
    RETURN_TYPES, RETURN_NAMES = ("STRING", "FLOAT"), ("text", "mean similarity")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        """The fields."""
        return {"required": {"report": ("MCLD_REPORT",)}}

    def report(self, report: Sequence[FrameRow]) -> dict[str, Any]:
        """A line for each frame, and the mean; 0 if no face was found."""
        lines = [f"frame {row.index}: {_similarity(row)}" for row in report]
        found = [row.face_similarity for row in report if row.face_similarity is not None]
        mean = sum(found) / len(found) if found else 0.0
        head = f"face similarity {mean:.3f} in the mean of {len(found)} of {len(report)} frames"
        text = "\n".join([head, *lines])
        return {"ui": {"text": [text]}, "result": (text, mean)}


NODE_CLASS_MAPPINGS = {
    "McldAnimLoad": LoadMcld,
    "McldAnimSource": SourceAppearance,
    "McldAnimDensePose": DensePoseFromVideo,
    "McldAnimAnimate": Animate,
    "McldAnimFaceReport": FaceReport,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "McldAnimLoad": "Load MCLD",
    "McldAnimSource": "Source appearance",
    "McldAnimDensePose": "DensePose from video",
    "McldAnimAnimate": "Animate",
    "McldAnimFaceReport": "Face report",
}


def _rate() -> tuple[str, dict[str, Any]]:
    return "FLOAT", {"default": 25.0, "min": 0.1, "max": 240.0}


def _not_given() -> set[tuple[str, Any]]:
    return {(name, WHOLE) for name in Animate.OPTIONS if getattr(RunOptions, name) is None}


def _coloured(iuv: Iuv) -> Picture:
    """An IUV as a picture: the part in red, U in green, V in blue."""
    scaled = iuv.copy()
    scaled[..., 0] = iuv[..., 0] * 10  # parts 1 to 24
    return scaled


def _similarity(row: FrameRow) -> str:
    if row.face_similarity is None:
        return "a face, but none to compare it with" if row.face_found else "no face"
    return f"{row.face_similarity:.3f}"
