"""`mcld-anim synth stability`: temporal stability of generated dances, compared with the rendered truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from mcld_anim.body.clip import FramePose, clip_frames
from mcld_anim.core.arrays import Picture
from mcld_anim.evaluate.over_people import over_people
from mcld_anim.metrics.pictures import psnr
from mcld_anim.metrics.stability import StabilityMeter
from mcld_anim.model.appearance import encode_source
from mcld_anim.model.build import Mcld
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RunOptions
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.sampling.settings import SamplingSettings
from mcld_anim.synthetic.dance import dance_pose, random_routine
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED, check_held_out
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import View, draw_light
from mcld_anim.synthetic.views import draw_shots, fit_view, person_background

FRAMES_PER_SECOND = 25
HEIGHT_SHARE = 0.86
"""Height of a standing dancer, as a fraction of the frame."""
BATCH_SIZE = 4


@dataclass(frozen=True)
class StabilityEvaluationOptions:
    """What `synth stability` measures."""

    people: int = 8  # who dance
    frames: int = 48  # of each dance
    first_seed: int = FIRST_EVALUATION_SEED

    def __post_init__(self) -> None:
        check_held_out(self.first_seed)


VARIANTS: dict[str, dict[str, Any]] = {
    "": {},
    "neighbour_": {"blending": "neighbour"},
    "unblended_": {"blend": 0.0},
    "independent_": {"blend": 0.0, "noise": "independent"},
}
"""The measured sampling variants, as changes to the defaults of `run`."""
TRUTH = "truth_"


@dataclass(frozen=True)
class ClipMetrics:
    """Values of one sampling variant, frame by frame."""

    change: list[float] = field(default_factory=list)  # texel change, grey levels
    psnr: list[float] = field(default_factory=list)  # dB, whole frame
    left: list[float] = field(default_factory=list)  # mean error of the pixels the person has just left, grey levels

    @staticmethod
    def joined(clips: Sequence[ClipMetrics]) -> ClipMetrics:
        """The values of several dances, one after the other."""
        return ClipMetrics(
            [value for clip in clips for value in clip.change],
            [value for clip in clips for value in clip.psnr],
            [value for clip in clips for value in clip.left],
        )

    def add(self, pictures: Iterable[Picture], truths: Sequence[Rendering]) -> None:
        """Measure one dance against the truth, frame by frame."""
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


def stability_metrics(
    options: StabilityEvaluationOptions,
    models: LoadedModels | None = None,
    on_person: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """Temporal stability of dances of consecutive frames; `models` replaces the embedded models.

    texture_change: mean texel change (grey levels) with the default settings of `run`. independent_: with independent
    noise per frame, without blending. unblended_: with shared noise, without blending. neighbour_: with neighbour
    blending. truth_: of the rendered truth. texture_change_share: texture_change / independent_. texture_change_ratio:
    texture_change / truth_. *clip_psnr: dB against the truth. *left_error: mean error, grey levels, of the pixels that
    the person left one frame ago, where a ghost of the previous pose would show.
    """
    dances = over_people(partial(measure_dance, options), options.people, models, on_person)
    measured = {name: ClipMetrics.joined([of_one[name] for of_one in dances]) for name in (*VARIANTS, TRUTH)}
    truth_measured = measured.pop(TRUTH)
    if not truth_measured.change:
        return {}
    metrics = {"truth_texture_change": float(np.mean(truth_measured.change))}
    for name, clips in measured.items():
        metrics[f"{name}texture_change"] = float(np.mean(clips.change))
        metrics[f"{name}clip_psnr"] = float(np.mean(clips.psnr))
        if clips.left:
            metrics[f"{name}left_error"] = float(np.mean(clips.left))
    metrics["texture_change_ratio"] = metrics["texture_change"] / metrics["truth_texture_change"]
    metrics["texture_change_share"] = metrics["texture_change"] / metrics["independent_texture_change"]
    return metrics


def measure_dance(options: StabilityEvaluationOptions, number: int, models: LoadedModels) -> dict[str, ClipMetrics]:
    """The values of one person's dance by the name of the variant; `TRUTH`: of its rendering."""
    mcld = models.mcld
    photo, truths = draw_clip(options.first_seed + number, options.frames, mcld.options.frame_size[0])
    source = encode_source(photo.picture, photo.iuv, mcld, models.face_in(photo.picture, photo.iuv))
    measured = {name: ClipMetrics() for name in (*VARIANTS, TRUTH)}
    for name, changes in VARIANTS.items():
        maker = FrameMaker(mcld, source, replace(clip_settings(mcld), **changes))
        measured[name].add(dance_frames(maker, truths), truths)
    measured[TRUTH].add((truth.picture for truth in truths), truths)
    return measured


def clip_settings(mcld: Mcld) -> SamplingSettings:
    """The default settings of `run`."""
    sampling, run = mcld.options.sampling, RunOptions
    return SamplingSettings(
        steps=sampling.steps,
        guidance=sampling.guidance,
        seed=0,
        noise=run.noise,
        blend=run.blend,
        blending=run.blending,
    )


def draw_clip(seed: int, frames: int, size: int) -> tuple[Rendering, list[Rendering]]:
    """The photo of a person, and their dance under one light, from one camera, before one background."""
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
    """The generated frames of a dance, a batch at a time."""
    frames = clip_frames(FramePose(truth.iuv) for truth in truths)
    while batch := list(islice(frames, BATCH_SIZE)):
        yield from maker.make(batch)
