"""`mcld-anim eval pairs`: generated pictures against their targets and sources, as the published evaluation does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcld_anim.core.arrays import Picture
from mcld_anim.core.device import choose_device
from mcld_anim.core.errors import UsageError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.pictures import check_picture, read_picture
from mcld_anim.core.stages import Progress, ignore_progress
from mcld_anim.evaluate.columns import PROTOCOL, described
from mcld_anim.evaluate.judge import Judge, face_metrics, shown_path
from mcld_anim.evaluate.pair_files import SIZES, Matching, PairFiles, match_pairs, pictures_by_name, size_folder
from mcld_anim.metrics.bootstrap import Estimate, estimate
from mcld_anim.metrics.frechet import MomentMeter, Moments, moment_distance
from mcld_anim.metrics.inception import FEATURES
from mcld_anim.model.appearance import resized
from mcld_anim.options.checks import check_choice
from mcld_anim.options.estimators import FACE_BACKENDS, DeviceName, FaceName
from mcld_anim.pose.precomputed import ASPECT_TOLERANCE

ReferenceMoments = Callable[[str, Judge], Moments]
"""The moments of the pictures that FID compares with, at a size."""


@dataclass(frozen=True, kw_only=True)
class PairsOptions:
    """What `eval pairs` measures."""

    generated: Path  # folder of pictures, or of folders 256 and 512
    target: Path
    source: Path | None = None  # None: no face similarity to the source
    training: Path | None = None  # pictures of the training set, for FID as published; None: the targets
    sizes: tuple[str, ...] = tuple(SIZES)
    face: FaceName = "auto"
    device: DeviceName = "auto"
    seed: int = 0  # of the bootstrap

    def __post_init__(self) -> None:
        check_choice("--face", self.face, FACE_BACKENDS)
        for size in self.sizes:
            check_choice("--size", size, tuple(SIZES))
        if not self.sizes:
            raise UsageError(f"eval pairs has no --size: choose {' or '.join(SIZES)}")


def evaluate_pairs(
    options: PairsOptions,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
    judge: Judge | None = None,
) -> dict[str, Any]:
    """Figures of the pairs by size, as `--json` writes them; `mcld_anim.evaluate.columns` explains them.

    `judge` replaces the networks of the options.
    """
    matchings = {size: _matched(options, size) for size in options.sizes}
    for matching in matchings.values():
        for pair in matching.pairs:
            check_picture(pair.generated, "--generated")
            check_picture(pair.target, "--target")
            if pair.source is not None:
                check_picture(pair.source, "--source")
    if options.training is not None:
        pictures_by_name(options.training, "--training")
    judge = judge or Judge.load(choose_device(options.device), options.face, on_event)
    reference = None if options.training is None else _training_moments(options.training, progress)
    return {
        "kind": "pairs",
        "name": options.generated.resolve().name,
        "generated": shown_path(options.generated),
        "target": shown_path(options.target),
        "source": shown_path(options.source),
        "training": shown_path(options.training),
        **figures_of(matchings, judge, options.seed, reference, progress, on_event),
    }


def figures_of(
    matchings: Mapping[str, Matching],
    judge: Judge,
    seed: int,
    reference: ReferenceMoments | None,
    progress: Progress,
    on_event: EventSink,
) -> dict[str, Any]:
    """The figures of pairs by size, and what they say of themselves; `reference` None: FID against the targets."""
    sets = {size: _measured(matching, size, seed, judge, reference, progress) for size, matching in matchings.items()}
    for size, matching in matchings.items():
        _tell(size, matching, on_event)
    return {
        "face_backend": None if judge.faces is None else judge.faces.name,
        "protocol": list(PROTOCOL),
        "missing": judge.missing,
        "seed": seed,
        "sets": sets,
    }


def add_pictures(
    meter: MomentMeter, paths: Sequence[Path], size: str, judge: Judge, progress: Progress = ignore_progress
) -> None:
    """Add the Inception features of pictures of the training set at a size to a meter."""
    for done, path in enumerate(paths, 1):
        features = judge.features(resized(read_picture(path), SIZES[size]))
        if features is not None:
            meter.add(features)
        progress(f"training set {size}", done, len(paths))


def _matched(options: PairsOptions, size: str) -> Matching:
    source = None if options.source is None else size_folder(options.source, size)
    return match_pairs(size_folder(options.generated, size), size_folder(options.target, size), source)


def _training_moments(folder: Path, progress: Progress) -> ReferenceMoments:
    def moments(size: str, judge: Judge) -> Moments:
        meter = MomentMeter(FEATURES)
        add_pictures(meter, list(pictures_by_name(folder, "--training").values()), size, judge, progress)
        return meter.moments()

    return moments


@dataclass(frozen=True)
class _Row:
    """What was measured on one pair."""

    name: str
    metrics: Mapping[str, float]
    faces: Mapping[str, bool]  # by generated, target and, if given, source: whether it shows one
    squashed: bool  # whether a picture had another aspect ratio


def _measured(
    matching: Matching,
    size: str,
    seed: int,
    judge: Judge,
    reference: ReferenceMoments | None,
    progress: Progress,
) -> dict[str, Any]:
    """The figures of one size."""
    made, real, rows = MomentMeter(FEATURES), MomentMeter(FEATURES), []
    progress(f"pairs {size}", 0, len(matching.pairs))
    for done, pair in enumerate(matching.pairs, 1):
        generated, target, source, squashed = _read(pair, SIZES[size])
        rows.append(_row(pair.name, generated, target, source, squashed, judge))
        for meter, picture in ((made, generated), (real, target)):
            features = None if meter is real and reference else judge.features(picture)
            if features is not None:
                meter.add(features)
        progress(f"pairs {size}", done, len(matching.pairs))
    metrics = estimates([row.metrics for row in rows], seed)
    samples = None
    if judge.inception is not None and len(rows) > 1:
        compared = reference(size, judge) if reference else real.moments()
        samples = compared.samples
        distance = moment_distance(compared, made.moments())
        metrics = {"fid": described(Estimate(distance, None, None, len(rows)))} | metrics
    return {
        "pairs": len(rows),
        "squashed": sum(row.squashed for row in rows),
        "unmatched_generated": list(matching.unmatched_generated),
        "unmatched_targets": list(matching.unmatched_targets),
        "without_source": matching.without_source,
        "faces": _face_counts([row.faces for row in rows]),
        "fid_reference": None if samples is None else "training set" if reference else "targets",
        "fid_reference_pictures": samples,
        "metrics": metrics,
        "rows": [
            {"name": row.name, **{key: value if np.isfinite(value) else None for key, value in row.metrics.items()}}
            for row in rows
        ],
    }


def _read(pair: PairFiles, size: tuple[int, int]) -> tuple[Picture, Picture, Picture | None, bool]:
    """The three pictures at a size, and whether one had another aspect ratio."""
    pictures = [
        None if path is None else read_picture(path, what)
        for path, what in ((pair.generated, "--generated"), (pair.target, "--target"), (pair.source, "--source"))
    ]
    aspects = [one.shape[1] * size[0] / (one.shape[0] * size[1]) for one in pictures if one is not None]
    squashed = any(abs(np.log(aspect)) > ASPECT_TOLERANCE for aspect in aspects)
    made, target, source = (None if one is None else resized(one, size) for one in pictures)
    assert made is not None
    assert target is not None
    return made, target, source, squashed


def _row(name: str, generated: Picture, target: Picture, source: Picture | None, squashed: bool, judge: Judge) -> _Row:
    metrics = judge.compared(generated, target)
    own, faces = judge.face(generated), {}
    if judge.faces is not None:
        faces["generated"] = own is not None
        for key, picture in (("target", target), ("source", source)):
            if picture is not None:
                face = judge.face(picture)
                faces[key] = face is not None
                metrics |= face_metrics(key, own, face)
    return _Row(name, metrics, faces, squashed)


def estimates(rows: Sequence[Mapping[str, float]], seed: int) -> dict[str, dict[str, Any]]:
    """The mean and interval of every metric that a row has, by key."""
    keys = list(dict.fromkeys(key for row in rows for key in row))
    return {
        key: described(estimate(np.array([row.get(key, np.nan) for row in rows], np.float64), seed)) for key in keys
    }


def _face_counts(rows: Iterable[Mapping[str, bool]]) -> dict[str, int]:
    """How many pictures show no face, by kind, and how many pairs could not be compared for that."""
    counts: dict[str, int] = {}
    for faces in rows:
        for key, found in faces.items():
            counts[f"{key}_without_face"] = counts.get(f"{key}_without_face", 0) + (not found)
            if key != "generated":
                lost = not (found and faces["generated"])
                counts[f"pairs_without_{key}_similarity"] = counts.get(f"pairs_without_{key}_similarity", 0) + lost
    return counts


def _tell(size: str, matching: Matching, on_event: EventSink) -> None:
    """Report what has no partner."""
    lost = [
        f"{len(names)} {what} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for names, what in (
            (matching.unmatched_generated, "generated pictures without a target"),
            (matching.unmatched_targets, "targets without a generated picture"),
        )
        if names
    ]
    if matching.without_source:
        lost.append(f"{matching.without_source} pairs without a source")
    if lost:
        on_event(Event("pairs_unmatched", f"{size}: {'; '.join(lost)}"))
