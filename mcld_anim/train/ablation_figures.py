"""Figures of one training of the ablation: held-out people, person by person, so that intervals over people exist.

The people are rendered once for all trainings. Every training is therefore measured on the same people in the same
shots with the same noise, and differences between trainings are paired.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from mcld_anim.evaluate.faces import face_metrics
from mcld_anim.evaluate.held_out import (
    EvaluationOptions,
    Metrics,
    Subject,
    default_settings,
    draw_subject,
    frame_metrics,
    generate_frames,
    is_right_person,
    shown_instead,
)
from mcld_anim.model.appearance import encode_source
from mcld_anim.model.load import LoadedModels
from mcld_anim.synthetic.person import Person

COLUMNS = ("psnr", "ssim", "person_psnr", "person_ssim", "face_similarity", "right_person_rate")
"""Metrics of `synth eval` that the ablation shows."""

Figures = dict[str, float]
"""Metrics of one person, means over their frames, by the names of `COLUMNS`."""


@dataclass(frozen=True, eq=False)
class HeldOutPerson:
    """A held-out person with their photo, shots and truths."""

    subject: Subject
    others: list[list[UInt8[np.ndarray, "_pixels 3"]]]
    """Of each shot, every other person in it, see `shown_instead`."""


def draw_held_out(
    options: EvaluationOptions, size: int, on_person: Callable[[int, int], None] = lambda done, total: None
) -> list[HeldOutPerson]:
    """The held-out people in pictures of `size` x `size` pixels."""
    seeds = range(options.first_seed, options.first_seed + options.people)
    everybody = {seed: Person.from_seed(seed) for seed in seeds}
    drawn = []
    for seed in seeds:
        subject = draw_subject(seed, options.poses, size)
        others = [person for other, person in everybody.items() if other != seed]
        views = zip(subject.shots, subject.truths, strict=True)
        drawn.append(HeldOutPerson(subject, [list(shown_instead(subject.person, *view, others)) for view in views]))
        on_person(len(drawn), options.people)
    return drawn


def measure_training(people: list[HeldOutPerson], models: LoadedModels) -> list[Figures]:
    """The figures of every person, in order; `models` has the trained networks and their sampling steps.

    A person whose photo or shots show no face has no face_similarity.
    """
    return [_measure_person(person, models) for person in people]


def _measure_person(person: HeldOutPerson, models: LoadedModels) -> Figures:
    subject, metrics = person.subject, Metrics()
    shown = subject.photo.picture, subject.photo.iuv
    source = encode_source(*shown, models.mcld, models.face_in(*shown))
    frames = generate_frames(models.mcld, source, subject, default_settings(models.mcld))
    for (_, truth, made), others in zip(frames, person.others, strict=True):
        metrics.add(
            **frame_metrics(made, truth, truth.iuv[..., 0] > 0),
            **face_metrics(models.face_backend, source, made, truth),
            right_person_rate=float(is_right_person(made, truth, others)),
        )
    return {name: mean for name, mean in metrics.means().items() if name in COLUMNS}
