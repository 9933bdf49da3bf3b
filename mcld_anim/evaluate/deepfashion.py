"""`mcld-anim eval deepfashion`: from a data set's folder and its list of pairs to the published table.

The same command goes on after any interruption. Calls with `--shard I/N` generate a part of the pairs each, side by
side or on several machines that share the output folder; the call without a shard makes what is left and measures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcld_anim.core.array_files import read_arrays
from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import InputError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.stages import Progress, ignore_progress
from mcld_anim.evaluate.deepfashion_files import Pair
from mcld_anim.evaluate.generated_pairs import DeepFashionOptions, Work, generate, open_work, reason_of_loss
from mcld_anim.evaluate.judge import Judge, shown_path
from mcld_anim.evaluate.pair_files import SIZES, Matching, PairFiles
from mcld_anim.evaluate.pairs import ReferenceMoments, add_pictures, figures_of
from mcld_anim.metrics.frechet import MomentMeter, Moments
from mcld_anim.metrics.inception import FEATURES
from mcld_anim.options.batch import Shard

STAGE = "generated pairs"


@dataclass(frozen=True)
class Generated:
    """What a call has done."""

    made: int  # pairs generated now
    done: int  # pairs of the list that are generated
    total: int  # pairs of the list
    refused: tuple[str, ...]  # "pair: reason", of this call's pairs
    figures: dict[str, Any] | None = None  # of all pairs; None for a shard


def evaluate_deepfashion(
    options: DeepFashionOptions,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
    judge: Judge | None = None,
) -> Generated:
    """Generate the pairs that are not generated yet and, without a shard, measure all of them."""
    work = open_work(options, on_event)
    shard = None if options.shard is None else Shard.parse(options.shard)
    own = [pair for pair in work.pairs if shard is None or shard.has(pair.number)]
    missing = [pair for pair in own if not work.is_done(pair)]
    made = 0
    progress(STAGE, len(own) - len(missing), len(own))
    for count in generate(work, missing):
        made += count
        progress(STAGE, len(own) - len(missing) + made, len(own))
    done = [pair for pair in work.pairs if work.is_done(pair)]
    reasons = [f"{pair.name}: {reason_of_loss(work, pair)}" for pair in missing if not work.is_done(pair)]
    if reasons:
        on_event(Event("pairs_refused", f"{len(reasons)} pairs are not generated: {'; '.join(reasons[:3])}"))
    if shard is not None:
        return Generated(made, len(done), len(work.pairs), tuple(reasons))
    if not done:
        raise InputError(f"none of the {len(work.pairs)} pairs of {work.data.listed} could be generated: {reasons[0]}")
    judge = judge or Judge.load(work.device, options.face, on_event)
    figures = {
        "kind": "deepfashion",
        "name": options.output.resolve().name,
        "model": work.chosen.name,
        "root": shown_path(options.root),
        "list": shown_path(work.data.listed),
        "steps": work.settings.steps,
        "guidance": work.settings.guidance,
        "refused": reasons,
        **figures_of(_matchings(work, done), judge, 0, _reference(work, progress), progress, on_event),
    }
    return Generated(made, len(done), len(work.pairs), tuple(reasons), figures)


def _matchings(work: Work, done: Iterable[Pair]) -> dict[str, Matching]:
    """The generated pairs by size, with the data set's own pictures."""

    def files(pair: Pair, size: str) -> PairFiles:
        target, source = work.data.picture(pair.target), work.data.picture(pair.source)
        return PairFiles(pair.name, work.path(pair, size), target, source)

    pairs = list(done)
    return {size: Matching(tuple(files(pair, size) for pair in pairs), (), (), 0) for size in SIZES}


def _reference(work: Work, progress: Progress) -> ReferenceMoments | None:
    """The training set's moments, kept in the output folder; None without a training set."""
    pictures = work.data.training()
    if len(pictures) < 2:
        return None
    names = hashlib.sha256("\n".join(path.name for path in pictures).encode(errors="surrogatepass")).hexdigest()

    def moments(size: str, judge: Judge) -> Moments:
        path = work.options.output / f"training-{size}.npz"
        return _kept(path, names, lambda: _training_moments(pictures, size, judge, progress))

    return moments


def _training_moments(pictures: Sequence[Path], size: str, judge: Judge, progress: Progress) -> Moments:
    meter = MomentMeter(FEATURES)
    add_pictures(meter, pictures, size, judge, progress)
    return meter.moments()


def _kept(path: Path, names: str, make: Callable[[], Moments]) -> Moments:
    """The moments in a file if they are those of the same pictures; made and written otherwise."""
    if path.is_file():
        arrays = read_arrays(path)
        if str(arrays["names"]) == names:
            return Moments(arrays["mean"], arrays["covariance"], int(arrays["samples"]))
    made = make()
    with durable_file(path, overwrite=True) as partial, partial.open("wb") as file:
        np.savez(file, mean=made.mean, covariance=made.covariance, samples=made.samples, names=names)
    return made
