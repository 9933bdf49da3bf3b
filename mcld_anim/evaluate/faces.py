"""Face metrics of `synth eval`: detection and similarity, verification accuracy, and the effect of the condition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.core.arrays import Picture
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
BOOTSTRAP_SAMPLES = 2000
"""Number of bootstrap samples of people per interval (Efron and Tibshirani 1993, percentile interval)."""


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


class SwapMeter:
    """Drop in similarity to the photo's face when the model gets another person's face tokens.

    Both frames have the same noise, pose and warped source, so only the tokens differ.
    """

    def __init__(self, mcld: Mcld, backend: FaceBackend | None, settings: SamplingSettings) -> None:
        self.mcld, self.backend, self.settings = mcld, backend, settings
        self._drops: dict[int, list[float]] = {}

    def add(self, person: int, source: SourceAppearance, other: Rendering, truths: Sequence[Rendering]) -> None:
        """Measure one person in the poses of `truths` that show a face; the photo `other` provides the swapped face."""
        backend = self.backend
        if backend is None or source.face is None or "face" not in self.mcld.options.conditions:
            return
        another = backend.largest(other.picture, other.iuv)
        shown = [truth for truth in truths if backend.largest(truth.picture, truth.iuv) is not None]
        if another is None or not shown:
            return
        own, swapped = (
            FrameMaker(self.mcld, appearance, self.settings)
            for appearance in (source, with_face(source, another, self.mcld))
        )
        for index, truth in enumerate(shown):
            faces = [
                backend.largest(maker.make([ClipFrame(index, FramePose(truth.iuv))])[0], truth.iuv)
                for maker in (own, swapped)
            ]
            if faces[0] is not None and faces[1] is not None:
                drop = similarity(source.face, faces[0]) - similarity(source.face, faces[1])
                self._drops.setdefault(person, []).append(drop)

    def metrics(self) -> dict[str, float]:
        """face_swap_drop: the mean over people, and its 95 % bootstrap interval over people (_low, _high)."""
        means = np.array([np.mean(drops) for drops in self._drops.values()])
        if not len(means):
            return {}
        drawn = np.random.default_rng(0).integers(len(means), size=(BOOTSTRAP_SAMPLES, len(means)))
        low, high = np.percentile(means[drawn].mean(1), (2.5, 97.5))
        return {
            "face_swap_drop": float(means.mean()),
            "face_swap_drop_low": float(low),
            "face_swap_drop_high": float(high),
        }
