"""How steady the embedded model's dances are, beside the rendered truth's own change."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mcld_anim.arrays import Picture
from mcld_anim.frames import FrameMaker, SamplingSettings
from mcld_anim.metrics.stability import StabilityMeter
from mcld_anim.model.build import Mcld
from mcld_anim.options.run import RunOptions
from mcld_anim.source.appearance import encode_source
from mcld_anim.source.face import FaceBackend
from mcld_anim.synthetic.dance import dance_pose, random_routine
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import View, draw_light
from mcld_anim.synthetic.views import draw_shots, fit_view, person_background

FRAMES_PER_SECOND = 25
HEIGHT_SHARE = 0.86
"""Of the frame, that a standing dancer fills."""
BATCH = 4


def clip_figures(
    mcld: Mcld, face_backend: FaceBackend | None, first_seed: int, people: int, frames: int
) -> dict[str, float]:
    """texture_change, truth_texture_change: mean texel change in grey levels; texture_change_ratio: their ratio.

    The first `people` held-out persons dance for `frames` consecutive frames, made as `run` makes them: one shared
    noise, neighbours blended.
    """
    made, true = [], []
    for seed in range(first_seed, first_seed + people):
        photo, truths = draw_clip(seed, frames, mcld.options.frame_size[0])
        source = encode_source(photo.picture, photo.iuv, mcld, face_backend)
        pictures = dance_frames(FrameMaker(mcld, source, clip_settings(mcld)), truths)
        made += texel_changes(pictures, truths)
        true += texel_changes((truth.picture for truth in truths), truths)
    if not true:
        return {}
    change, truth_change = float(np.mean(made)), float(np.mean(true))
    return {
        "texture_change": change,
        "truth_texture_change": truth_change,
        "texture_change_ratio": change / truth_change,
    }


def clip_settings(mcld: Mcld) -> SamplingSettings:
    """What `run` does by default."""
    defaults = mcld.options.sampling
    return SamplingSettings(defaults.steps, defaults.guidance, seed=0, noise=RunOptions.noise, blend=RunOptions.blend)


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
    for start in range(0, len(truths), BATCH):
        poses = [truth.iuv for truth in truths[start : start + BATCH]]
        yield from maker.make(range(start, start + len(poses)), poses)


def texel_changes(pictures: Iterator[Picture], truths: list[Rendering]) -> list[float]:
    """The texel change of every frame but the first, by the truths' own IUV."""
    meter = StabilityMeter()
    found = [meter.add(picture, truth.iuv) for picture, truth in zip(pictures, truths, strict=True)]
    return [one.texel_change for one in found if one is not None]
