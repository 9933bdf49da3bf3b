"""Shared state of runs: loaded models, the encoded source, and DensePose sequences; the latter two on disk as well.

Torch is imported when a device is chosen, and the diffusion model when it is loaded, which takes seconds: whatever can
be refused is refused before.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.core.temporary_folder import TemporaryFolder
from mcld_anim.model.choose import choose_model, estimator_checksums, find_model
from mcld_anim.options.load import to_mapping
from mcld_anim.options.run import SynthesisOptions
from mcld_anim.run.checks import RunPlan
from mcld_anim.run.first_look import check_shows_person
from mcld_anim.run.kept import MOTION, OTHER, PHOTO, POSES, SOURCE, STAGE, Form, KeptResults, Kind, Made, Wanted
from mcld_anim.run.memory import offloads
from mcld_anim.setup.first_need import ready_densepose
from mcld_anim.weights.table import embedded_table

if TYPE_CHECKING:
    import torch

    from mcld_anim.model.appearance import SourceAppearance
    from mcld_anim.model.load import LoadedModels
    from mcld_anim.pose.body_backend import BodyBackend
    from mcld_anim.run.driving import DrivingMotion, DrivingPoses
    from mcld_anim.run.edited import Edits
    from mcld_anim.run.source import SourcePhoto
    from mcld_anim.source.edited_warp import Fitted
    from mcld_anim.source.fitted_photo import FittedPhoto

FETCH_STAGE, MODELS_STAGE = "fetched networks", "models"

Loader = Callable[..., "LoadedModels"]
"""The signature of `mcld_anim.model.load.load_models`."""

Key = tuple[object, ...]
Item = TypeVar("Item")


def load_models(*arguments: Any) -> LoadedModels:
    """As `mcld_anim.model.load.load_models`."""
    from mcld_anim.model.load import load_models as load

    return load(*arguments)


class RunCache:
    """Keeps what later runs may reuse, identified by the content of files, not by their names.

    Models: all that were loaded. Source: the last one (sources are large, and a batch runs the rows of one source
    together). Driving poses: all of them, on disk until `close`. What `kept` has of these is not made again.
    """

    def __init__(self, folder: Path | None = None, load: Loader | None = None, kept: KeptResults | None = None) -> None:
        """`folder`: parent of the folder for working files, created on first use; None: the system's. `kept`: results
        of earlier runs; None: none are read or kept."""
        self.checksums, self._kept = Checksums(), kept or KeptResults(None)
        self._place, self._load = folder, load or load_models
        self._work: TemporaryFolder | None = None
        self._models: dict[Key, Made[LoadedModels]] = {}
        self._photos: dict[Key, Made[SourcePhoto]] = {}  # of one source, and so are the next four
        self._sources: dict[Key, Made[SourceAppearance]] = {}
        self._stages: dict[Key, Made[FittedPhoto]] = {}
        self._others: dict[Key, Made[SourcePhoto]] = {}  # photos of other people, for its edits
        self._fitted: dict[Key, Made[Fitted]] = {}
        self._driving: dict[Key, Made[DrivingPoses]] = {}
        self._motions: dict[Key, Made[DrivingMotion]] = {}

    @property
    def folder(self) -> Path:
        """A folder for working files, which `close` deletes."""
        if self._work is None:
            self._work = TemporaryFolder(self._place)
        return self._work.path

    def close(self) -> None:
        """Delete the working files and forget everything."""
        for known in (self._models, self._photos, self._sources, self._stages, self._driving, self._motions):
            known.clear()
        self._others.clear()
        self._fitted.clear()
        if self._work is not None:
            self._work.remove()
            self._work = None

    def models(self, options: SynthesisOptions, stages: Stages) -> LoadedModels:
        """The models for these options, loaded on first use."""
        densepose = options.densepose if options.precomputed is None else "auto"
        offload = offloads(options, stages)
        names = (options.model, options.device, options.dtype, densepose, options.face)
        return self.load(*names, stages, options.offline, offload)

    def load(
        self,
        model: str,
        device: str,
        dtype: str,
        densepose: str,
        face: str,
        stages: Stages,
        offline: bool = False,
        offload: bool = False,
    ) -> LoadedModels:
        """The models of these names, each of which may be "auto", loaded on first use.

        The networks of the pose estimator are fetched if they are missing, unless `offline`. `offload`: see
        `model.offload`.
        """
        from mcld_anim.core.device import choose_dtype

        place = _device(device)
        number_format, name = choose_dtype(dtype, place), choose_model(model, place)
        with stages.timed(FETCH_STAGE):
            estimator = ready_densepose(densepose, place, offline, stages.emit, find_model(name))

        def load() -> LoadedModels:
            with stages.timed(MODELS_STAGE):
                return self._load(name, place, number_format, estimator, face, stages.emit, offload)

        key = (name, str(place), str(number_format), estimator, face, offload)
        if key in self._models:
            return self._models[key].told(stages)
        self._models[key] = _made(load, stages)
        return self._models[key].item

    def check_driving(self, plan: RunPlan, stages: Stages) -> None:
        """Refuse a driving video in which `--densepose body` sees nobody, before the other models are loaded."""
        options = plan.options
        if options.precomputed is not None:
            return
        place = _device(options.device)
        with stages.timed(FETCH_STAGE):
            chosen = find_model(choose_model(options.model, place))
            estimator = ready_densepose(options.densepose, place, options.offline, stages.emit, chosen)
        key = self._driving_key(plan, estimator)
        if estimator != "body" or key in self._driving or key in self._motions:
            return
        if not any(self._kept.holds(self._driving_wanted(kind, plan, estimator, place)) for kind in (MOTION, POSES)):
            check_shows_person(plan, stages)

    def photo(self, paths: Sequence[Path], models: LoadedModels, stages: Stages) -> SourcePhoto:
        """The source photo as the estimators see it; of several, the first, which holds the others."""
        from mcld_anim.run.kept_forms import PHOTO_FORM
        from mcld_anim.run.source import read_photo, tell_missing_face

        keys = [(self.checksums.of(path), id(models)) for path in paths]
        if not self._photos.keys() >= set(keys):
            for known in (self._photos, self._sources, self._stages, self._others, self._fitted):  # free memory first
                known.clear()
        photos = []
        for path, key in zip(paths, keys, strict=True):
            wanted = Wanted(PHOTO, path, self._seen_by(models) | {"content": key[0]}, models.device)
            read = partial(read_photo, path, models, stages)
            photos.append(self._once(self._photos, key, wanted, PHOTO_FORM, read, stages))
        photo = photos[0]
        if len(photos) > 1:
            from mcld_anim.run.several_photos import one_person

            photo = one_person(photos, paths, models.face_backend, stages)
        tell_missing_face(photo, paths, models, stages)
        return photo

    def other_photo(self, path: Path, flag: str, models: LoadedModels, stages: Stages) -> SourcePhoto:
        """Another person's photo, given by this flag, as the estimators see it."""
        from mcld_anim.run.kept_forms import PHOTO_FORM
        from mcld_anim.run.source import read_photo

        key = (self.checksums.of(path), flag, id(models))
        wanted = Wanted(PHOTO, path, self._seen_by(models) | {"content": key[0], "flag": flag}, models.device)
        return self._once(self._others, key, wanted, PHOTO_FORM, lambda: read_photo(path, models, stages, flag), stages)

    def fitted(
        self,
        path: Path,
        flag: str,
        photo: SourcePhoto,
        models: LoadedModels,
        stages: Stages,
        long_side: int | None = None,
    ) -> Fitted:
        """The person of another photo with their body; `long_side` of the result, if chosen."""
        from mcld_anim.run.kept_forms import FITTED_FORM
        from mcld_anim.run.photo import fit_other

        def fit() -> Fitted:
            assert photo.body is not None
            return fit_other(photo.opened(path, flag), photo.body, long_side)

        key, estimator = (self.checksums.of(path), id(models), long_side), models.pose_backend.name
        depends = self._stage_depends(key[0], estimator, long_side)
        wanted = Wanted(OTHER, path, depends, _place_of(estimator, models.device))
        return self._once(self._fitted, key, wanted, FITTED_FORM, fit, stages)

    def source(
        self,
        paths: Sequence[Path],
        photo: SourcePhoto,
        models: LoadedModels,
        stages: Stages,
        edits: Edits | None = None,
    ) -> SourceAppearance:
        """The source photo, with edits if there are any, encoded by the model's networks, which are read on first use;
        of several photos one source."""
        with stages.timed(MODELS_STAGE):
            mcld = models.mcld
        from mcld_anim.run.edited import edits_of
        from mcld_anim.run.kept_source import SOURCE_FORM
        from mcld_anim.run.source import encode_photo

        done = {} if edits is None else edits_of(edits.options, self.checksums)
        key = (self._content(paths), *done.items(), id(models))
        depends = self._seen_by(models) | {
            "content": key[0],
            "model": to_mapping(mcld.options),
            "weights": dict(models.weights),
            "dtype": str(models.dtype),
            **({"edits": done} if done else {}),
        }

        def encode() -> SourceAppearance:
            return encode_photo(photo, models, stages) if edits is None else edits.encoded(photo)

        wanted = Wanted(SOURCE, paths[0], depends, models.device)
        return self._once(self._sources, key, wanted, SOURCE_FORM, encode, stages)

    def source_in_photo(
        self,
        options: SynthesisOptions,
        photo: SourcePhoto,
        models: LoadedModels,
        stages: Stages,
        edits: Edits | None = None,
    ) -> SourceAppearance | None:
        """The same for frames in the photo; None, and an event about options without effect, where the model keeps the
        photo's own pixels."""
        if not models.options.photo_pixels:
            return self.source(options.photos, photo, models, stages, edits)
        if options.synthesis_flags:
            message = (
                f"{', '.join(options.synthesis_flags)} without effect: in the photo the person is the photo's own "
                "pixels, no network makes them; --retarget off or a larger --model lets networks make the frames"
            )
            stages.emit(Event("options_without_effect", message))
        return None

    def stage(
        self, options: SynthesisOptions, source: SourcePhoto, models: LoadedModels, stages: Stages
    ) -> FittedPhoto:
        """The stage of the source photo, to which a body was fitted; its person is of all photos."""
        from mcld_anim.run.kept_forms import STAGE_FORM
        from mcld_anim.run.photo import fit_photos
        from mcld_anim.run.source import SOURCE_STAGE

        paths, long_side = options.photos, options.long_side
        key = (self._content(paths), id(models), long_side)
        estimator = models.pose_backend.name

        def fit() -> FittedPhoto:
            with stages.timed(SOURCE_STAGE):
                fitted = []
                for path, photo in zip(paths, source.all, strict=True):
                    assert photo.body is not None
                    fitted.append((photo.opened(path), photo.body))
                stage = fit_photos(fitted, long_side)
                stages.progress(SOURCE_STAGE, 2, 2)
            return stage

        depends = self._stage_depends(key[0], estimator, long_side)
        wanted = Wanted(STAGE, paths[0], depends, _place_of(estimator, models.device))
        return self._once(self._stages, key, wanted, STAGE_FORM, fit, stages)

    def motion(self, plan: RunPlan, backend: BodyBackend, stages: Stages) -> DrivingMotion:
        """The body fitted to the driving video's person."""
        from mcld_anim.run.driving import encode_motion
        from mcld_anim.run.kept_forms import MOTION_FORM

        def encode() -> DrivingMotion:
            with tempfile.TemporaryFile(dir=self.folder) as masks:
                return encode_motion(plan, backend, masks, stages)[0]

        key, place = self._driving_key(plan, backend.name), _device(plan.options.device)
        wanted = self._driving_wanted(MOTION, plan, backend.name, place)
        return self._once(self._motions, key, wanted, MOTION_FORM, encode, stages)

    def driving(self, plan: RunPlan, models: LoadedModels, stages: Stages) -> DrivingPoses:
        """The poses of the chosen frames of the driving video."""
        from mcld_anim.run.driving import encode_driving
        from mcld_anim.run.kept_forms import POSES_FORM

        def encode() -> DrivingPoses:
            place = Path(tempfile.mkdtemp(prefix="poses-", dir=self.folder))
            return encode_driving(plan, models.pose_backend, place / "iuv.zip", stages)

        given, estimator = plan.options.precomputed, models.pose_backend.name
        key = self._driving_key(plan, estimator if given is None else self.checksums.of(given))
        # Given poses are on disk already.
        wanted = self._driving_wanted(POSES, plan, estimator, models.device) if given is None else None
        return self._once(self._driving, key, wanted, POSES_FORM, encode, stages)

    def _stage_depends(self, content: str, estimator: str, long_side: int | None) -> dict[str, Any]:
        """What a photo's person, fitted by an estimator, depends on at the result's size."""
        weights = _weights_of(estimator)
        return {"content": content, "estimator": estimator, "weights": weights, "long_side": long_side}

    def _content(self, paths: Sequence[Path]) -> str:
        """The content of the source's photos, in their order."""
        return "+".join(self.checksums.of(path) for path in paths)

    def _seen_by(self, models: LoadedModels) -> dict[str, Any]:
        """What estimators see in the source photo depends on."""
        backends = (models.pose_backend, models.face_backend, models.native_embedder)
        return {
            "frame_size": list(models.options.frame_size),
            "backends": [None if backend is None else backend.name for backend in backends],
            "estimator_weights": dict(models.estimator_weights),
            "measures_only": models.measures_only,
        }

    def _driving_key(self, plan: RunPlan, origin: str) -> Key:
        options = plan.options
        return (self.checksums.of(options.driving), origin, options.person_choice, *options.grid)

    def _driving_wanted(self, kind: Kind, plan: RunPlan, estimator: str, device: torch.device) -> Wanted:
        """What the poses of the driving video depend on, for the results on disk."""
        options = plan.options
        depends = {
            "content": self.checksums.of(options.driving),
            "estimator": estimator,
            "weights": _weights_of(estimator),
            "person": str(options.person_choice),
            "grid": list(options.grid),
        }
        return Wanted(kind, options.driving, depends, _place_of(estimator, device))

    def _once(
        self,
        known: dict[Key, Made[Item]],
        key: Key,
        wanted: Wanted | None,
        form: Form[Item],
        make: Callable[[], Item],
        stages: Stages,
    ) -> Item:
        """The item of `key`, made on first use unless it is kept on disk as `wanted`; the events of its making are
        emitted every time."""
        if key in known:
            if wanted is not None:
                stages.reused.append(wanted.kind.name)
            return known[key].told(stages)
        made = None if wanted is None else self._kept.recall(wanted, form, stages)
        if made is None:
            known[key] = _made(make, stages)
            if wanted is not None:
                self._kept.keep(wanted, form, known[key], stages)
            return known[key].item
        assert wanted is not None
        stages.reused.append(wanted.kind.name)
        known[key] = made
        return made.told(stages)


def _made(make: Callable[[], Item], stages: Stages) -> Made[Item]:
    """A new item with the events of its making."""
    before = len(stages.events)
    item = make()
    return Made(item, tuple(stages.events[before:]))


def _weights_of(estimator: str) -> dict[str, str]:
    """SHA-256 of the weights of a pose estimator, by file name."""
    embedded = {row.file: row.sha256 for row in embedded_table() if row.part == "densepose"}
    return embedded if estimator == "tiny" else estimator_checksums(estimator, "none")


def _place_of(estimator: str, device: torch.device) -> torch.device:
    """The device of a pose estimator; the fitted body is the CPU's."""
    return _device("cpu") if estimator == "body" else device


def _device(name: str) -> torch.device:
    from mcld_anim.core.device import choose_device

    return choose_device(name)
