"""What runs share: loaded models, the encoded source, and DensePose sequences."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.device import choose_device, choose_dtype
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.model.appearance import SourceAppearance
from mcld_anim.model.choose import choose_model
from mcld_anim.model.load import LoadedModels, load_models
from mcld_anim.options.run import SynthesisOptions
from mcld_anim.run.checks import RunPlan
from mcld_anim.run.encode import DrivingPoses, encode_driving, encode_photo

MODELS_STAGE = "models"

Loader = Callable[..., LoadedModels]
"""As `mcld_anim.model.load.load_models`."""


Key = tuple[object, ...]
Item = TypeVar("Item")


@dataclass(frozen=True)
class _Made(Generic[Item]):
    item: Item
    events: tuple[Event, ...]  # what there was to tell while it was made


class RunCache:
    """Keeps what the next run may need again, found by the content of files, not by their names.

    Models: every kind asked for. Source: the last one (sources are large, a batch runs rows of one source
    together). Driving poses: all of them, on disk in `folder`, which must outlive the cache.
    """

    def __init__(self, folder: Path, load: Loader = load_models, checksums: Checksums | None = None) -> None:
        self.folder = folder
        self.checksums = checksums or Checksums()
        self._load = load
        self._models: dict[Key, _Made[LoadedModels]] = {}
        self._sources: dict[Key, _Made[SourceAppearance]] = {}
        self._driving: dict[Key, _Made[DrivingPoses]] = {}

    def models(self, options: SynthesisOptions, stages: Stages) -> LoadedModels:
        """The models of these options, loaded when they are first asked for."""
        device = choose_device(options.device)
        dtype = choose_dtype(options.dtype, device)
        densepose = options.densepose if options.precomputed is None else "auto"
        model = choose_model(options.model, device)
        key = (model, str(device), str(dtype), densepose, options.face)

        def load() -> LoadedModels:
            with stages.timed(MODELS_STAGE):
                return self._load(model, device, dtype, densepose, options.face, stages.tell)

        return _once(self._models, key, load, stages)

    def source(self, path: Path, models: LoadedModels, stages: Stages) -> SourceAppearance:
        """The encoded source photo."""
        key = (self.checksums.of(path), id(models))
        if key not in self._sources:
            self._sources.clear()  # make room first
        return _once(self._sources, key, lambda: encode_photo(path, models, stages), stages)

    def driving(self, plan: RunPlan, models: LoadedModels, stages: Stages) -> DrivingPoses:
        """The poses of the chosen frames of the driving video."""
        options = plan.options
        given = options.precomputed
        origin = models.pose_backend.name if given is None else self.checksums.of(given)
        video = self.checksums.of(options.driving)
        key = (video, origin, options.person_choice, options.fps, options.start, options.end, options.max_frames)

        def encode() -> DrivingPoses:
            place = Path(tempfile.mkdtemp(prefix="poses-", dir=self.folder))
            return encode_driving(plan, models.pose_backend, place / "iuv", stages)

        return _once(self._driving, key, encode, stages)


def _once(known: dict[Key, _Made[Item]], key: Key, make: Callable[[], Item], stages: Stages) -> Item:
    """The item of `key`, made when it is first asked for; the events of its making are told every time."""
    if key not in known:
        before = len(stages.events)
        item = make()
        known[key] = _Made(item, tuple(stages.events[before:]))
    for event in known[key].events:
        stages.tell(event)
    return known[key].item
