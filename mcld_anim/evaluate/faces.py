"""Face metrics of `synth eval`: detection and similarity, verification accuracy, and the effect of the condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.core.arrays import Picture
from mcld_anim.metrics.bootstrap import mean_interval
from mcld_anim.metrics.faces import equal_error_rate, pair_similarities
from mcld_anim.model.appearance import SourceAppearance, with_face
from mcld_anim.model.build import Mcld
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.sampling.settings import SamplingSettings
from mcld_anim.source.face import FaceBackend, similarity
from mcld_anim.synthetic.faces import render_face_views
from mcld_anim.synthetic.person import Person, Rendering

CLOSE_UPS = 6
"""Number of views of each head in the verification; pose, light and background vary."""
SWAPPED_BATCH = 4
"""Frames that are made at a time."""


def face_metrics(
    backend: FaceBackend | None, source: SourceAppearance, made: Picture, truth: Rendering
) -> dict[str, float]:
    """face_found_rate, and face_similarity to the photo's face. Empty if the photo or the truth shows no face."""
    if backend is None or source.face is None or backend.largest(truth.picture, truth.iuv) is None:
        return {}
    face = backend.largest(made, truth.iuv)
    if face is None:
        return {"face_found_rate": 0.0}
    return {"face_found_rate": 1.0, "face_similarity": similarity(source.face, face)}


def verification_metrics(backend: FaceBackend | None, first_seed: int, identities: int) -> dict[str, float]:
    """face_accuracy: verification accuracy on close-ups of held-out people, at the equal-error threshold."""
    if backend is None:
        return {}
    embeddings, people = [], []
    for seed in range(first_seed, first_seed + identities):
        views = render_face_views(Person.from_seed(seed), np.random.default_rng([seed, 5]), CLOSE_UPS)
        for picture, iuv in zip(*views, strict=True):
            face = backend.largest(picture, iuv)
            if face is not None:
                embeddings.append(face.embedding)
                people.append(seed)
    accuracy, _ = equal_error_rate(*pair_similarities(np.stack(embeddings), np.array(people)))
    return {"face_accuracy": accuracy}


def swap_drops(
    mcld: Mcld,
    backend: FaceBackend | None,
    settings: SamplingSettings,
    source: SourceAppearance,
    other: Rendering,
    truths: Sequence[Rendering],
    made: Sequence[Picture],
) -> list[float]:
    """Drops in similarity to the photo's face when the model gets the face tokens of the photo `other`.

    One for each of the poses `truths` that shows a face; `made` are the frames with the source's own face. Both frames
    have the same noise, pose and warped source, so only the tokens differ.
    """
    if backend is None or source.face is None or "face" not in mcld.options.conditions:
        return []
    another = backend.largest(other.picture, other.iuv)
    if another is None:
        return []
    shown = [i for i, truth in enumerate(truths) if backend.largest(truth.picture, truth.iuv) is not None]
    maker, drops = FrameMaker(mcld, with_face(source, another, mcld), settings), []
    for start in range(0, len(shown), SWAPPED_BATCH):
        batch = shown[start : start + SWAPPED_BATCH]
        swapped = maker.make([ClipFrame(i, FramePose(truths[i].iuv)) for i in batch])
        for index, picture in zip(batch, swapped, strict=True):
            faces = [backend.largest(one, truths[index].iuv) for one in (made[index], picture)]
            if faces[0] is not None and faces[1] is not None:
                drops.append(similarity(source.face, faces[0]) - similarity(source.face, faces[1]))
    return drops


def swap_metrics(drops: Sequence[Sequence[float]]) -> dict[str, float]:
    """Of the `swap_drops` of people, face_swap_drop: the mean over people, and its 95 % bootstrap interval over people
    (_low, _high)."""
    means = np.array([np.mean(of_one) for of_one in drops if of_one])
    if not len(means):
        return {}
    low, high = mean_interval(means)
    return {
        "face_swap_drop": float(means.mean()),
        "face_swap_drop_low": low,
        "face_swap_drop_high": high,
    }
