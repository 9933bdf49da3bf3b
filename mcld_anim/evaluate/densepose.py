"""`mcld-anim synth densepose`: a DensePose estimator measured against exact IUV and on empty scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from mcld_anim.body.part_labels import TORSO_BACK, TORSO_FRONT
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import UsageError
from mcld_anim.options.checks import check_choice
from mcld_anim.options.estimators import DENSEPOSE_BACKENDS
from mcld_anim.pose.backends import PoseBackend, largest_iuv, load_pose_backend
from mcld_anim.synthetic.backdrops import make_backgrounds, photo_backgrounds
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED, check_held_out
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.views import SOURCE_VIEWS, draw_shots, person_background

CERTAINTY_QUANTILE = 0.01
"""Quantile of the certainty over all views, reported as `certainty_low`. A higher threshold would lose more views."""


@dataclass(frozen=True)
class EstimatorEvaluationOptions:
    """What `synth densepose` measures."""

    people: int = 16
    views: int = 24  # of each person
    scenes: int = 60  # empty scenes of each kind: generated, and photographed where `backgrounds` is given
    backgrounds: Path | None = None  # folder of photographs without people
    first_seed: int = FIRST_EVALUATION_SEED
    weights: Path | None = None  # of `train densepose`, for "tiny"; None: the embedded ones
    densepose: str = "tiny"
    size: int = 256  # width and height of the pictures of people, pixels

    def __post_init__(self) -> None:
        check_held_out(self.first_seed)
        check_choice("--densepose", self.densepose, DENSEPOSE_BACKENDS)
        if self.weights is not None and self.densepose != "tiny":
            raise UsageError(f"--weights are of `train densepose`, for --densepose tiny: {self.densepose} has its own")


def estimator_metrics(
    options: EstimatorEvaluationOptions,
    backend: PoseBackend | None = None,
    on_person: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """Metrics by name over people x views, and over empty scenes.

    `backend` replaces the estimator of the options.

    densepose_*: see `compare_iuv`. trousers_, skirts_: the same for people who wear either; legs under a skirt count.
    behind_: the same for views that show more of the back than of the chest. found_rate: share of the views in which
    exactly one person is found. certainty_low: the score that 99 % of the views reach. scene_found_rate: share of the
    empty scenes in which a person is found. scene_certainty_high: the highest score in an empty scene.
    """
    backend = backend or load_pose_backend(options.densepose, weights=options.weights)
    scenes = empty_scenes(options.scenes, options.first_seed, options.backgrounds)
    people, size = options.people, options.size
    groups: dict[str, list[dict[str, float]]] = {"": [], "trousers_": [], "skirts_": [], "behind_": []}
    found, scores = 0, []
    for number in range(people):
        person = Person.from_seed(options.first_seed + number)
        background = person_background(person, size)
        for shot in draw_shots(person, SOURCE_VIEWS, options.views):
            truth = render(person, shot.pose, shot.view, shot.light, background, size)
            (estimates,) = backend.estimate([truth.picture])
            found += len(estimates) == 1
            scores += [max((one.score for one in estimates), default=0.0)]
            metrics = compare_iuv(estimates[0].iuv if estimates else np.zeros_like(truth.iuv), truth.iuv)
            for name in ("", "trousers_" if person.identity.outfit.kind == "trousers" else "skirts_"):
                groups[name].append(metrics)
            if is_from_behind(truth.iuv[..., 0]):
                groups["behind_"].append(metrics)
        on_person(number + 1, people)
    seen = [max((one.score for one in backend.estimate([scene])[0]), default=0.0) for scene in scenes]
    means = {
        f"{group}{name}": float(np.mean([row[name] for row in rows]))
        for group, rows in groups.items()
        for name in (rows[0] if rows else ())
    }
    means |= {"found_rate": found / len(scores), "certainty_low": float(np.quantile(scores, CERTAINTY_QUANTILE))}
    if seen:
        means |= {"scene_found_rate": float(np.mean(np.array(seen) > 0)), "scene_certainty_high": max(seen)}
    return means


def empty_scenes(count: int, seed: int, photos: Path | None) -> list[Picture]:
    """`count` generated scenes (384, 384, 3) without people, and as many crops of the photographs in a folder."""
    return make_backgrounds(count, seed) + ([] if photos is None else photo_backgrounds(photos, count, seed))


def is_from_behind(parts: UInt8[np.ndarray, "height width"]) -> bool:
    """Whether a view shows more of the torso's back than of its front; `parts` is the I of an IUV."""
    return bool(np.count_nonzero(parts == TORSO_BACK) > np.count_nonzero(parts == TORSO_FRONT))


def densepose_metrics(backend: PoseBackend, truth: Rendering) -> dict[str, float]:
    """`compare_iuv` of the largest person that the estimator finds in a rendering."""
    return compare_iuv(largest_iuv(backend, truth.picture), truth.iuv)


def compare_iuv(found: Iuv, truth: Iuv) -> dict[str, float]:
    """Part accuracy inside the true person, foreground intersection over union, and median |U|,|V| error (0..1).

    The U, V error is over the pixels whose part is right; it is 1 if there are none.
    """
    inside, claimed = truth[..., 0] > 0, found[..., 0] > 0
    right = inside & (found[..., 0] == truth[..., 0])
    error = np.abs(found[right][:, 1:].astype(float) - truth[right][:, 1:]) / 255
    return {
        "densepose_part_accuracy": float(right.sum() / inside.sum()),
        "densepose_foreground_iou": float((inside & claimed).sum() / (inside | claimed).sum()),
        "densepose_uv_error": float(np.median(error)) if right.any() else 1.0,
    }
