"""Shared state of runs: loaded models, the encoded source, and DensePose sequences.

The diffusion model is imported when it is loaded, which takes seconds: a driving video of nobody is refused before.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.device import choose_device, choose_dtype
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.model.choose import choose_model, find_model
from mcld_anim.options.run import SynthesisOptions
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.run.checks import RunPlan
from mcld_anim.run.first_look import check_shows_person
from mcld_anim.setup.first_need import ready_densepose

if TYPE_CHECKING:
    from mcld_anim.model.load import LoadedModels
    from mcld_anim.run.driving import DrivingMotion, DrivingPoses
    from mcld_anim.run.source import EncodedPhoto
    from mcld_anim.source.fitted_photo import FittedPhoto

FETCH_STAGE, MODELS_STAGE = "fetched networks", "models"

Loader = Callable[..., "LoadedModels"]
"""The signature of `mcld_anim.model.load.load_models`."""

Key = tuple[object, ...]
Item = TypeVar("Item")


@dataclass(frozen=True)
class _Made(Generic[Item]):
    item: Item
    events: tuple[Event, ...]  # emitted during its making


def load_models(*arguments: Any) -> LoadedModels:
    """As `mcld_anim.model.load.load_models`."""
    from mcld_anim.model.load import load_models as load

    return load(*arguments)


class RunCache:
    """Keeps what later runs may reuse, identified by the content of files, not by their names.

    Models: all that were loaded. Source: the last one (sources are large, and a batch runs the rows of one source
    together). Driving poses: all of them, on disk until `close`.
    """

    def __init__(self, folder: Path | None = None, load: Loader | None = None) -> None:
        """`folder`: parent of the folder for working files, created on first use; None: the system's."""
        self.checksums = Checksums()
        self._place, self._load = folder, load or load_models
        self._work: tempfile.TemporaryDirectory[str] | None = None
        self._models: dict[Key, _Made[LoadedModels]] = {}
        self._sources: dict[Key, _Made[EncodedPhoto]] = {}
        self._stages: dict[Key, _Made[FittedPhoto]] = {}  # one, like the sources
        self._driving: dict[Key, _Made[DrivingPoses]] = {}
        self._motions: dict[Key, _Made[DrivingMotion]] = {}

    @property
    def folder(self) -> Path:
        """A folder for working files, which `close` deletes."""
        if self._work is None:
            self._work = tempfile.TemporaryDirectory(prefix=".mcld-anim-", suffix=".work", dir=self._place)
        return Path(self._work.name)

    def close(self) -> None:
        """Delete the working files and forget everything."""
        for known in (self._models, self._sources, self._stages, self._driving, self._motions):
            known.clear()
        if self._work is not None:
            self._work.cleanup()
            self._work = None

    def models(self, options: SynthesisOptions, stages: Stages) -> LoadedModels:
        """The models for these options, loaded on first use."""
        densepose = options.densepose if options.precomputed is None else "auto"
        return self.load(options.model, options.device, options.dtype, densepose, options.face, stages, options.offline)

    def load(
        self,
        model: str,
        device: str,
        dtype: str,
        densepose: str,
        face: str,
        stages: Stages,
        offline: bool = False,
    ) -> LoadedModels:
        """The models of these names, each of which may be "auto", loaded on first use.

        The networks of the pose estimator are fetched if they are missing, unless `offline`.
        """
        place = choose_device(device)
        number_format, name = choose_dtype(dtype, place), choose_model(model, place)
        with stages.timed(FETCH_STAGE):
            estimator = ready_densepose(densepose, place, offline, stages.emit, find_model(name))

        def load() -> LoadedModels:
            with stages.timed(MODELS_STAGE):
                return self._load(name, place, number_format, estimator, face, stages.emit)

        return _once(self._models, (name, str(place), str(number_format), estimator, face), load, stages)

    def check_driving(self, plan: RunPlan, stages: Stages) -> None:
        """Refuse a driving video in which `--densepose body` sees nobody, before the other models are loaded."""
        options = plan.options
        if options.precomputed is not None:
            return
        place = choose_device(options.device)
        with stages.timed(FETCH_STAGE):
            chosen = find_model(choose_model(options.model, place))
            estimator = ready_densepose(options.densepose, place, options.offline, stages.emit, chosen)
        key = self._driving_key(plan, estimator)
        if estimator == "body" and key not in self._driving and key not in self._motions:
            check_shows_person(plan, stages)

    def source(self, path: Path, models: LoadedModels, stages: Stages) -> EncodedPhoto:
        """The encoded source photo."""
        from mcld_anim.run.source import encode_photo

        key = (self.checksums.of(path), id(models))
        if key not in self._sources:
            self._sources.clear()  # free memory first
            self._stages.clear()
        return _once(self._sources, key, lambda: encode_photo(path, models, stages), stages)

    def stage(self, path: Path, source: EncodedPhoto, models: LoadedModels, stages: Stages) -> FittedPhoto:
        """The stage of the source photo, to which a body was fitted."""
        from mcld_anim.run.photo import fit_photo
        from mcld_anim.run.source import SOURCE_STAGE

        key = (self.checksums.of(path), id(models))

        def fit() -> FittedPhoto:
            assert source.body is not None
            with stages.timed(SOURCE_STAGE):
                return fit_photo(source.picture, source.body)

        return _once(self._stages, key, fit, stages)

    def motion(self, plan: RunPlan, backend: BodyBackend, stages: Stages) -> DrivingMotion:
        """The body fitted to the driving video's person."""
        from mcld_anim.run.driving import encode_motion

        key = self._driving_key(plan, backend.name)

        def encode() -> DrivingMotion:
            with tempfile.TemporaryFile(dir=self.folder) as masks:
                return encode_motion(plan, backend, masks, stages)[0]

        return _once(self._motions, key, encode, stages)

    def driving(self, plan: RunPlan, models: LoadedModels, stages: Stages) -> DrivingPoses:
        """The poses of the chosen frames of the driving video."""
        from mcld_anim.run.driving import encode_driving

        given = plan.options.precomputed
        key = self._driving_key(plan, models.pose_backend.name if given is None else self.checksums.of(given))

        def encode() -> DrivingPoses:
            place = Path(tempfile.mkdtemp(prefix="poses-", dir=self.folder))
            return encode_driving(plan, models.pose_backend, place / "iuv", stages)

        return _once(self._driving, key, encode, stages)

    def _driving_key(self, plan: RunPlan, origin: str) -> Key:
        options = plan.options
        return (self.checksums.of(options.driving), origin, options.person_choice, *options.grid)


def _once(known: dict[Key, _Made[Item]], key: Key, make: Callable[[], Item], stages: Stages) -> Item:
    """The item of `key`, made on first use; the events of its making are emitted every time."""
    if key not in known:
        before = len(stages.events)
        item = make()
        known[key] = _Made(item, tuple(stages.events[before:]))
    for event in known[key].events:
        stages.emit(event)
    return known[key].item
