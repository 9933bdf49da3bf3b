"""Pairs of a data set, generated as the published test generates them.

Source and target are squashed to the model's frames, the sampler's steps and guidance are the model's, and results are
saved at 256x176 and 512x352 by an antialiased bicubic filter, truncated to bytes. Two things differ. The noise of a
pair depends on the seed and on its number in the list, not on what was generated before it; and frames are rounded to
bytes before they are scaled, which changes a value by one level at most.

Every finished picture is durable before it counts, so a killed run goes on where it was, and several processes may
work in one output folder.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import torch

from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.core.arrays import Picture
from mcld_anim.core.device import choose_device, choose_dtype
from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import InputError
from mcld_anim.core.events import EventSink
from mcld_anim.core.names import write_json
from mcld_anim.core.pictures import check_picture, read_picture, write_picture
from mcld_anim.core.tables import read_json
from mcld_anim.evaluate.deepfashion_files import DeepFashion, Pair
from mcld_anim.evaluate.pair_files import SIZES
from mcld_anim.metrics.published import evaluation_pictures
from mcld_anim.model.appearance import SourceAppearance, encode_source, resized
from mcld_anim.model.build import Mcld
from mcld_anim.model.choose import ChosenModel, check_model, choose_face, choose_model, find_model
from mcld_anim.model.load import load_mcld
from mcld_anim.options.batch import Shard
from mcld_anim.options.checks import check_choice, check_range
from mcld_anim.options.estimators import FACE_BACKENDS, DeviceName, FaceName
from mcld_anim.options.model import ModelOptions
from mcld_anim.options.run import DtypeName
from mcld_anim.run.prepared_pictures import (
    PairPreparationOptions,
    PreparedPicture,
    example_path,
    is_prepared,
    prepare_picture,
)
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.sampling.settings import SamplingSettings
from mcld_anim.setup.first_need import ready_densepose
from mcld_anim.source.face import Face

RECORD = "deepfashion.json"
"""In the output folder: the options that its pictures were made with."""
BATCH = 4
"""Pairs of one source that are generated at once, at most."""
PUBLISHED_SEED = 42
"""Of the published test; its noise is drawn in the order of the pairs, and so another."""
WHOLE_PICTURE = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class DeepFashionOptions:
    """What `eval deepfashion` generates and measures."""

    root: Path
    output: Path  # folder for conditions and generated pictures
    pairs: Path | None = None  # None: the published list in `root`
    prepared: Path | None = None  # folder of `train prepare-pairs`; None: one in `output`
    model: str = "auto"  # as in `run`
    densepose: str = "auto"  # a backend or a folder of IUV; auto: the data set's if it has one, else the best backend
    face: FaceName = "auto"  # embedder that measures
    device: DeviceName = "auto"
    dtype: DtypeName = "auto"
    steps: int | None = None  # None: the model's
    guidance: float | None = None
    seed: int = PUBLISHED_SEED
    max_pairs: int | None = None  # the first of the list; None: all
    shard: str | None = None  # "I/N": generate only every N-th pair from the I-th, and measure nothing
    offline: bool = False

    def __post_init__(self) -> None:
        check_model(self.model)
        check_choice("--face", self.face, FACE_BACKENDS)
        check_choice("--dtype", self.dtype, get_args(DtypeName))
        check_range("--steps", self.steps, 1, 1000)
        check_range("--guidance", self.guidance, 1, 100)
        check_range("--max-pairs", self.max_pairs, 1, None)
        if self.shard is not None:
            Shard.parse(self.shard)


@dataclass(frozen=True, eq=False)
class Work:
    """The data set, the model and what pictures are made with."""

    options: DeepFashionOptions
    data: DeepFashion
    pairs: tuple[Pair, ...]
    chosen: ChosenModel
    preparation: PairPreparationOptions
    settings: SamplingSettings
    device: torch.device
    refused: dict[str, str] = field(default_factory=dict)  # by picture

    @property
    def model(self) -> ModelOptions:
        return self.chosen.options

    def path(self, pair: Pair, size: str) -> Path:
        """Where a generated picture goes, as published."""
        return self.options.output / "generated" / size.split("x")[0] / f"{pair.name}.png"

    def is_done(self, pair: Pair) -> bool:
        return all(self.path(pair, size).is_file() for size in SIZES)


def open_work(options: DeepFashionOptions, on_event: EventSink) -> Work:
    """Refuse, before a network is loaded, what cannot be measured; the record of the output folder is checked."""
    data = DeepFashion.open(options.root, options.pairs)
    pairs = data.pairs(options.max_pairs)
    for name in dict.fromkeys(name for pair in pairs for name in (pair.source, pair.target)):
        check_picture(data.picture(name), name)
    device = choose_device(options.device)
    chosen = find_model(choose_model(options.model, device))
    folder = data.iuv_folder() if options.densepose == "auto" else Path(options.densepose)
    if folder is not None and folder.is_dir():
        densepose = str(folder)
    else:
        densepose = ready_densepose(options.densepose, device, options.offline, on_event)
    prepared = options.prepared or options.output / "prepared"
    face = choose_face("auto", chosen) if "face" in chosen.options.conditions else "none"
    preparation = PairPreparationOptions(
        data.listed, options.root, prepared, chosen.options, densepose, face, device.type
    )
    usual = chosen.options.sampling
    guidance = usual.guidance if options.guidance is None else options.guidance
    settings = SamplingSettings(
        steps=options.steps or usual.steps, guidance=guidance, seed=options.seed, noise="independent", blend=0.0
    )
    _check_record(options, chosen, preparation, settings)
    return Work(options, data, pairs, chosen, preparation, settings, device)


def _check_record(
    options: DeepFashionOptions, chosen: ChosenModel, preparation: PairPreparationOptions, settings: SamplingSettings
) -> None:
    """Write what pictures are made with, or compare it with what those in the output folder were made with."""
    record = {
        "model": chosen.name,
        "densepose": preparation.densepose,
        "steps": settings.steps,
        "guidance": settings.guidance,
        "seed": settings.seed,
        "dtype": options.dtype,
    }
    path = options.output / RECORD
    if not path.is_file():
        with durable_file(path, overwrite=True) as partial:
            write_json(partial, record)
        return
    try:
        before = read_json(path)
    except (ValueError, OSError) as error:
        raise InputError(f"{path} is damaged ({error}): remove {options.output}, or choose another --output") from error
    if before != record:
        changed = [key for key in record if not isinstance(before, dict) or before.get(key) != record[key]]
        raise InputError(
            f"--output {options.output} holds pictures of another {', '.join(changed)} ({path}): choose another folder"
        )


def generate(work: Work, missing: Sequence[Pair]) -> Iterator[int]:
    """Generate pairs, those of one source together; yields how many are finished."""
    if not missing:
        return
    mcld = load_mcld(work.chosen, work.device, choose_dtype(work.options.dtype, work.device))
    for source, group in itertools.groupby(missing, key=lambda pair: pair.source):
        pairs = [pair for pair in group if _prepared(work, pair.source) and _prepared(work, pair.target)]
        if not pairs:
            continue
        appearance = _appearance(work, source, mcld)
        maker = FrameMaker(mcld, appearance, work.settings)
        for start in range(0, len(pairs), BATCH):
            batch = pairs[start : start + BATCH]
            frames = [ClipFrame(pair.number, FramePose(_picture(work, pair.target).iuv)) for pair in batch]
            for pair, picture in zip(batch, maker.make(frames), strict=True):
                _write(work, pair, picture)
                yield 1


def _prepared(work: Work, name: str) -> bool:
    """Prepare a picture unless that was done; False if it cannot be used."""
    folder = work.preparation.output
    if not is_prepared(folder, name) and name not in work.refused:
        reason = prepare_picture(work.preparation, name, work.data.picture(name))
        if reason is not None:
            work.refused[name] = reason
    return example_path(folder, name).exists()


def reason_of_loss(work: Work, pair: Pair) -> str:
    """Why a pair is not generated."""
    for name in (pair.source, pair.target):
        if name in work.refused:
            return work.refused[name]
        if not example_path(work.preparation.output, name).exists():
            return f"{name} shows no person"
    return "it was not reached"


def _picture(work: Work, name: str) -> PreparedPicture:
    return PreparedPicture.read(example_path(work.preparation.output, name))


def _appearance(work: Work, name: str, mcld: Mcld) -> SourceAppearance:
    """The source as the model is told of it; a face of zeros is none."""
    prepared = _picture(work, name)
    picture = resized(read_picture(work.data.picture(name)), work.model.frame_size)
    face = Face(prepared.face, WHOLE_PICTURE, work.preparation.face) if prepared.face.any() else None
    return encode_source(picture, prepared.iuv, mcld, face)


def _write(work: Work, pair: Pair, picture: Picture) -> None:
    """Save a generated frame (H, W, 3) at both sizes, as published."""
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    for size, shape in SIZES.items():
        saved = evaluation_pictures(planes, shape)[0].permute(1, 2, 0).contiguous().numpy()
        with durable_file(work.path(pair, size), overwrite=True) as partial:
            write_picture(partial, saved)
