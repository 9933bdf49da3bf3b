"""`mcld-anim synth densepose`: a DensePose estimator against exact IUV, and on scenes in which nobody is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from mcld_anim.body.part_labels import TORSO_BACK, TORSO_FRONT
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.pose.backends import PoseBackend, largest_iuv
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.views import SOURCE_VIEWS, draw_shots, person_background

LOW = 0.01
"""Quantile of the people's certainty that is told: a threshold above it would lose more of them."""


def estimator_figures(
    backend: PoseBackend,
    first_seed: int,
    people: int,
    views: int,
    scenes: Sequence[Picture],
    size: int = 256,
    on_person: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """Figures by name over people x views, pictures of `size` x `size`, and over empty scenes.

    densepose_*: see `compare_iuv`. trousers_ and skirts_: the same of those who wear either, legs under a skirt
    included, behind_: of views that show more of the back than of the chest. found_rate: share of the views in which
    one person is found; certainty_low: the score that 99 % of them have at least. scene_found_rate: share of the
    scenes in which somebody is seen; scene_certainty_high: the highest score there.
    """
    groups: dict[str, list[dict[str, float]]] = {"": [], "trousers_": [], "skirts_": [], "behind_": []}
    found, scores = 0, []
    for number in range(people):
        person = Person.from_seed(first_seed + number)
        background = person_background(person, size)
        for shot in draw_shots(person, SOURCE_VIEWS, views):
            truth = render(person, shot.pose, shot.view, shot.light, background, size)
            (estimates,) = backend.estimate([truth.picture])
            found += len(estimates) == 1
            scores += [max((one.score for one in estimates), default=0.0)]
            figures = compare_iuv(estimates[0].iuv if estimates else np.zeros_like(truth.iuv), truth.iuv)
            for name in ("", "trousers_" if person.identity.outfit.kind == "trousers" else "skirts_"):
                groups[name].append(figures)
            if is_from_behind(truth.iuv[..., 0]):
                groups["behind_"].append(figures)
        on_person(number + 1, people)
    seen = [max((one.score for one in backend.estimate([scene])[0]), default=0.0) for scene in scenes]
    means = {
        f"{group}{name}": float(np.mean([row[name] for row in rows]))
        for group, rows in groups.items()
        for name in (rows[0] if rows else ())
    }
    means |= {"found_rate": found / len(scores), "certainty_low": float(np.quantile(scores, LOW))}
    if seen:
        means |= {"scene_found_rate": float(np.mean(np.array(seen) > 0)), "scene_certainty_high": max(seen)}
    return means


def empty_scenes(count: int, seed: int, photos: Path | None) -> list[Picture]:
    """`count` generated scenes (384, 384, 3) without people, and as many cuts of the photographs of a folder."""
    from mcld_anim.synthetic.backdrops import make_backgrounds, photo_backgrounds

    return make_backgrounds(count, seed) + ([] if photos is None else photo_backgrounds(photos, count, seed))


def is_from_behind(parts: UInt8[np.ndarray, "height width"]) -> bool:
    """Whether more of the torso's back than of its front is seen; `parts` is the I of an IUV."""
    return bool(np.count_nonzero(parts == TORSO_BACK) > np.count_nonzero(parts == TORSO_FRONT))


def densepose_figures(backend: PoseBackend, truth: Rendering) -> dict[str, float]:
    """`compare_iuv` of the largest person that the estimator sees in a rendering."""
    return compare_iuv(largest_iuv(backend, truth.picture), truth.iuv)


def compare_iuv(found: Iuv, truth: Iuv) -> dict[str, float]:
    """Part accuracy inside the true person, foreground intersection over union, and median |U|,|V| error (0..1).

    The U,V error is over pixels whose part is right; without any it is 1.
    """
    inside, claimed = truth[..., 0] > 0, found[..., 0] > 0
    right = inside & (found[..., 0] == truth[..., 0])
    error = np.abs(found[right][:, 1:].astype(float) - truth[right][:, 1:]) / 255
    return {
        "densepose_part_accuracy": float(right.sum() / inside.sum()),
        "densepose_foreground_iou": float((inside & claimed).sum() / (inside | claimed).sum()),
        "densepose_uv_error": float(np.median(error)) if right.any() else 1.0,
    }
