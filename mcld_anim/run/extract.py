"""The two parts of the story that are useful alone: the DensePose of a video or photo, the UV texture of a
photo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from mcld_anim.core.arrays import Picture
from mcld_anim.core.durable import check_output, durable_file
from mcld_anim.core.errors import PoseError, UsageError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.pictures import PHOTO_SUFFIXES, check_picture, read_picture, write_picture
from mcld_anim.options.person import LARGEST, PersonChoice
from mcld_anim.pose.backends import largest_iuv, load_pose_backend
from mcld_anim.pose.iuv_file import read_iuv_sequence, write_iuv_sequence
from mcld_anim.pose.iuv_picture import encode_iuv
from mcld_anim.pose.precomputed import precomputed_iuv
from mcld_anim.pose.select import described, selected
from mcld_anim.pose.sequence import estimate_sequence
from mcld_anim.source.texture import source_texture
from mcld_anim.video.probe import probe
from mcld_anim.video.read import frame_grid, read_frames

Progress = Callable[[str, int, int | None], None]
"""Told the stage, how many of its items are done and how many there are (None: not known)."""


@dataclass(frozen=True)
class DensePoseRequest:
    """What `mcld-anim densepose` is asked to do."""

    input: Path  # video or photo
    output: Path | None = None  # .zip archive or a folder; for a photo also .png; None: named after the input
    densepose: str = "tiny"  # or detectron2
    weights: Path | None = None  # of detectron2; None: its usual place
    device: str = "cpu"
    person: PersonChoice = LARGEST  # whom to take
    fps: float | str = "source"  # frames per second of the sequence
    start: float = 0.0  # seconds
    end: float | None = None  # seconds
    max_frames: int | None = None
    overwrite: bool = False

    @property
    def is_photo(self) -> bool:
        """Whether the input is one picture."""
        return self.input.suffix.lower() in PHOTO_SUFFIXES


@dataclass(frozen=True)
class DensePoseResult:
    """What was written."""

    output: Path
    frames: int
    with_person: int


def extract_densepose(
    request: DensePoseRequest,
    progress: Progress = lambda stage, done, total: None,
    on_event: EventSink = warn,
) -> DensePoseResult:
    """Write the IUV of every frame of a video, or of a photo."""
    output = request.output or Path(f"{request.input.stem}_iuv{'.png' if request.is_photo else '.zip'}")
    if output.suffix.lower() == ".png" and not request.is_photo:
        raise UsageError(f"--output {output} is one picture, a video needs a .zip archive or a folder")
    if not (request.overwrite and output.is_dir()):  # a sequence folder may be replaced, see `iuv_writer`
        check_output(output, request.overwrite)
    if request.is_photo:
        return _photo(request, output, on_event)
    info = probe(request.input)
    request.person.check_inside(info.width, info.height, str(request.input))
    frame_grid(info, request.fps, request.start, request.end, request.max_frames)
    backend = load_pose_backend(request.densepose, torch.device(request.device), request.weights)
    frames = read_frames(info, request.fps, request.start, request.end, request.max_frames, on_event=on_event)
    grid = frame_grid(info, request.fps, request.start, request.end, request.max_frames)
    sequence = estimate_sequence(
        frames,
        backend,
        output,
        grid.fps,
        meta={"input": request.input.name},
        on_frame=lambda done: progress("densepose", done, None),
        overwrite=request.overwrite,
        person=request.person,
        on_event=on_event,
    )
    return DensePoseResult(output, len(sequence), int(sequence.person_found.sum()))


def _photo(request: DensePoseRequest, output: Path, on_event: EventSink) -> DensePoseResult:
    check_picture(request.input)
    picture = read_picture(request.input)
    request.person.check_inside(picture.shape[1], picture.shape[0], str(request.input))
    backend = load_pose_backend(request.densepose, torch.device(request.device), request.weights)
    (people,) = backend.estimate([picture])
    if not people:
        raise PoseError(_nobody(request.input, request.densepose))
    estimate = selected(people, request.person, str(request.input))
    if len(people) > 1:
        message = f"{request.input} shows {described(people)}: --person {request.person} is taken"
        on_event(Event("several_people", message))
    if output.suffix.lower() == ".png":
        with durable_file(output, request.overwrite) as partial:
            partial.write_bytes(encode_iuv(estimate.iuv))
    else:
        write_iuv_sequence(output, [estimate.iuv], overwrite=request.overwrite)
    return DensePoseResult(output, len(read_iuv_sequence(output)), 1)


def extract_texture(
    photo: Path,
    output: Path,
    iuv: Path | None = None,
    densepose: str = "tiny",
    device: str = "cpu",
    overwrite: bool = False,
) -> Picture:
    """Write the SMPL UV texture (512, 512, 3) of a photo as PNG; its IUV is read from a file or estimated."""
    if output.suffix.lower() != ".png":
        raise UsageError(f"--output {output} does not end in .png: that is the format which is written")
    check_output(output, overwrite)
    check_picture(photo)
    picture = read_picture(photo)
    if iuv is not None:
        found = precomputed_iuv(iuv, (picture.shape[0], picture.shape[1]))
    else:
        found = largest_iuv(load_pose_backend(densepose, torch.device(device)), picture)
    if not found[..., 0].any():
        raise PoseError(_nobody(photo, densepose) if iuv is None else f"{iuv} shows no person: give another IUV file")
    texture = source_texture(picture, found)
    with durable_file(output, overwrite) as partial:
        write_picture(partial, texture)
    return texture


def _nobody(path: Path, densepose: str) -> str:
    return (
        f"no person was found in {path} (densepose: {densepose}): "
        "use a photo that shows one person in full, or another --densepose"
    )
