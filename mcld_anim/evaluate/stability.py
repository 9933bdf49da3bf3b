"""How steady the embedded model's dances are, beside the rendered truth's own change."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from mcld_anim.body.clip import FramePose, clip_frames
from mcld_anim.core.arrays import Picture
from mcld_anim.metrics.pictures import psnr
from mcld_anim.metrics.stability import StabilityMeter
from mcld_anim.model.appearance import encode_source
from mcld_anim.model.build import Mcld
from mcld_anim.options.run import RunOptions
from mcld_anim.sampling.frame_maker import FrameMaker, SamplingSettings
from mcld_anim.source.face import FaceBackend
from mcld_anim.synthetic.dance import dance_pose, random_routine
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import View, draw_light
from mcld_anim.synthetic.views import draw_shots, fit_view, person_background

FRAMES_PER_SECOND = 25
HEIGHT_SHARE = 0.86
"""Of the frame, that a standing dancer fills."""
BATCH = 4


@dataclass(frozen=True)
class ClipTotals:
    """What one way of sampling gave, frame by frame."""

    change: list[float] = field(default_factory=list)  # texel change, grey levels
    psnr: list[float] = field(default_factory=list)  # dB, whole frame
    left: list[float] = field(default_factory=list)  # mean error where the person has just been, grey levels

    def add(self, pictures: Iterable[Picture], truths: Sequence[Rendering]) -> None:
        """Measure one dance against the truth, which is walked through with it."""
        meter, before = StabilityMeter(), None
        frames = clip_frames(FramePose(truth.iuv) for truth in truths)
        for frame, picture, truth in zip(frames, pictures, truths, strict=True):
            change, inside = meter.add(frame.showing(picture)), truth.iuv[..., 0] > 0
            if change is not None:
                self.change.append(change.texel_change)
            if before is not None and (before & ~inside).any():
                left = before & ~inside
                self.left.append(float(np.abs(picture[left].astype(float) - truth.picture[left]).mean()))
            self.psnr.append(psnr(picture, truth.picture))
            before = inside


def clip_figures(
    mcld: Mcld,
    face_backend: FaceBackend | None,
    first_seed: int,
    people: int,
    frames: int,
    on_person: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """How steady dances are; the first `people` held-out persons dance for `frames` consecutive frames.

    texture_change: mean texel change (grey levels) of frames made as `run` makes them. independent_, unblended_,
    neighbour_: of each frame from a noise of its own and not blended, of shared noise without blending, and with plain
    blending. truth_: of the rendered truth. texture_change_share: texture_change / independent_. texture_change_ratio:
    texture_change / truth_. *clip_psnr: dB against the truth. *left_error: mean error, grey levels, of the pixels that
    the person left one frame ago; a ghost of the last pose would show there.
    """
    usual = clip_settings(mcld)
    ways = {
        "": usual,
        "neighbour_": replace(usual, blending="neighbour"),
        "unblended_": replace(usual, blend=0.0),
        "independent_": replace(usual, blend=0.0, noise="independent"),
    }
    totals, truth_totals = {name: ClipTotals() for name in ways}, ClipTotals()
    for number in range(people):
        photo, truths = draw_clip(first_seed + number, frames, mcld.options.frame_size[0])
        source = encode_source(photo.picture, photo.iuv, mcld, face_backend)
        for name, settings in ways.items():
            totals[name].add(dance_frames(FrameMaker(mcld, source, settings), truths), truths)
        truth_totals.add((truth.picture for truth in truths), truths)
        on_person(number + 1, people)
    if not truth_totals.change:
        return {}
    figures = {"truth_texture_change": float(np.mean(truth_totals.change))}
    for name, total in totals.items():
        figures[f"{name}texture_change"] = float(np.mean(total.change))
        figures[f"{name}clip_psnr"] = float(np.mean(total.psnr))
        if total.left:
            figures[f"{name}left_error"] = float(np.mean(total.left))
    figures["texture_change_ratio"] = figures["texture_change"] / figures["truth_texture_change"]
    figures["texture_change_share"] = figures["texture_change"] / figures["independent_texture_change"]
    return figures


def clip_settings(mcld: Mcld) -> SamplingSettings:
    """What `run` does by default."""
    defaults, usual = mcld.options.sampling, RunOptions
    return SamplingSettings(defaults.steps, defaults.guidance, 0, usual.noise, usual.blend, usual.blending)


def draw_clip(seed: int, frames: int, size: int) -> tuple[Rendering, list[Rendering]]:
    """The photo of a person, and the person's own dance: one light, one camera, one background."""
    person = Person.from_seed(seed)
    generator = np.random.default_rng([seed, 6])
    routine, light = random_routine(generator), draw_light(np.random.default_rng([seed, 3]))
    poses = [dance_pose(number / FRAMES_PER_SECOND, routine=routine) for number in range(frames)]
    everywhere = np.concatenate([person.posed(pose)[::8] for pose in poses])
    view = fit_view(everywhere, View(), person.identity.stature, HEIGHT_SHARE)
    background = person_background(person, size)
    (shot,) = draw_shots(person, 0, 1)
    photo = render(person, shot.pose, shot.view, shot.light, background, size)
    return photo, [render(person, pose, view, light, background, size) for pose in poses]


def dance_frames(maker: FrameMaker, truths: list[Rendering]) -> Iterator[Picture]:
    """What the model makes of a dance, a batch at a time."""
    frames = clip_frames(FramePose(truth.iuv) for truth in truths)
    while batch := list(islice(frames, BATCH)):
        yield from maker.make(batch)
