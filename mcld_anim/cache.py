"""What runs share: loaded models, the encoded source, and DensePose sequences. A single run uses one for itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from mcld_anim.checksums import Checksums
from mcld_anim.device import choose_device, choose_dtype
from mcld_anim.encode import DrivingPoses, encode_driving, encode_photo
from mcld_anim.inputs import RunPlan
from mcld_anim.options.run import SynthesisOptions
from mcld_anim.report.stages import Stages
from mcld_anim.source.appearance import SourceAppearance
from mcld_anim.weights.load import LoadedModels, load_models

MODELS_STAGE = "models"

Loader = Callable[..., LoadedModels]
"""As `mcld_anim.weights.load.load_models`."""


class RunCache:
    """Keeps what the next run may need again, found by the content of files, not by their names.

    Models: every kind asked for. Source: the last one (sources are large, a batch runs rows of one source together).
    Driving poses: all of them, on disk in `folder`, which must outlive the cache.
    """

    def __init__(self, folder: Path, load: Loader = load_models, checksums: Checksums | None = None) -> None:
        self.folder = folder
        self.checksums = checksums or Checksums()
        self._load = load
        self._models: dict[tuple[str, ...], LoadedModels] = {}
        self._source: tuple[tuple[object, ...], SourceAppearance] | None = None
        self._driving: dict[tuple[object, ...], DrivingPoses] = {}

    def models(self, options: SynthesisOptions, stages: Stages) -> LoadedModels:
        """The models of these options, loaded when they are first asked for."""
        device = choose_device(options.device)
        dtype = choose_dtype(options.dtype, device)
        densepose = options.densepose if options.precomputed is None else "tiny"
        key = (options.model, str(device), str(dtype), densepose, options.face)
        if key not in self._models:
            with stages.timed(MODELS_STAGE):
                self._models[key] = self._load(options.model, device, dtype, densepose, options.face)
        return self._models[key]

    def source(self, path: Path, models: LoadedModels, stages: Stages) -> SourceAppearance:
        """The encoded source photo."""
        key = (self.checksums.of(path), id(models))
        if self._source is None or self._source[0] != key:
            self._source = None  # make room first
            self._source = (key, encode_photo(path, models, stages))
        return self._source[1]

    def driving(self, plan: RunPlan, models: LoadedModels, stages: Stages) -> DrivingPoses:
        """The poses of the chosen frames of the driving video."""
        options = plan.options
        origin = models.pose_backend.name if options.precomputed is None else self.checksums.of(options.precomputed)
        video = self.checksums.of(options.driving)
        key = (video, origin, options.fps, options.start, options.end, options.max_frames)
        if key not in self._driving:
            place = Path(tempfile.mkdtemp(prefix="poses-", dir=self.folder))
            self._driving[key] = encode_driving(plan, models.pose_backend, place / "iuv", stages)
        return self._driving[key]
