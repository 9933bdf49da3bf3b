"""The public API: an `Animator` holds the models and provides every command as a method."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

import numpy as np

from mcld_anim.core.arrays import Picture
from mcld_anim.core.checksums import Checksums
from mcld_anim.core.errors import UsageError
from mcld_anim.core.events import EventSink, warn
from mcld_anim.core.stages import Progress, Stages, ignore_progress
from mcld_anim.options.estimators import EstimatorOptions
from mcld_anim.options.extract import DensePoseOptions, ReportOptions, TextureOptions
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import EditOptions, PoseOptions, RunOptions
from mcld_anim.run.animate import FrameSink, animate, ignore_frame
from mcld_anim.run.array_inputs import picture_file, video_file
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import RunPlan, check_run
from mcld_anim.run.frame_range import FrameRange
from mcld_anim.run.kept import open_kept
from mcld_anim.run.result import DensePoseResult, ReportResult, Result, TextureResult

if TYPE_CHECKING:
    from mcld_anim.run.frames import Frame

PathLike = str | Path
PictureLike = PathLike | np.ndarray
"""The path of a picture, or the picture itself: uint8 (H, W, 3) RGB in 0..255."""
PhotosLike = PictureLike | Sequence[PictureLike]
"""A photo of a person, or a list or tuple of several of the same person: their front, their back."""
VideoLike = PathLike | Iterable[np.ndarray]
"""The path of a video, or its frames: uint8 (H, W, 3) RGB arrays of one size, given together with `fps=`."""

Options = TypeVar("Options", bound=EstimatorOptions)


class Animator:
    """Animates photos of people.

    Every option of a command is a keyword of its method, with underscores for hyphens (`max_frames=3`,
    `background="#00ff00"`); `mcld-anim COMMAND --help` explains them. Paths may be `str` or `Path`.

    Loaded models, the last encoded source and the poses of driving videos are kept and reused; files are identified by
    their content. Poses and the encoded source are kept on disk for later processes as well, see `cache`. Working files
    stay until `close` (or the end of the process); an animator is a context manager.

    Each method takes callbacks: `progress(stage, done, total)`, where `total` is None while it is unknown, and
    `on_event(event)` for anything that was lost, replaced or changed (by default an event is a Python warning). An
    exception raised in a callback cancels the work, as does closing the generator of `frames`. Then only `animate`
    leaves something: finished frames, which the same call goes on from (`resume=False`: makes anew).
    Errors are `McldAnimError`s: `UsageError` for a wrong request, `InputError` for an input that is refused.
    """

    def __init__(
        self,
        model: str = "auto",
        *,
        device: str = "auto",
        dtype: str = "auto",
        densepose: str = "auto",
        face: str = "auto",
        offline: bool = False,
        folder: PathLike | None = None,
        cache: bool = True,
    ) -> None:
        """Set the defaults of the options of these names, see `load`; nothing is loaded yet.

        folder: parent of the working files (poses, frames given as arrays); None: the system's temporary folder.
        cache: keep driving poses and the encoded source on disk for later runs, and use those that are there. Raises
        UsageError if $MCLD_ANIM_CACHE_GB is no size.
        """
        names = {"model": model, "device": device, "dtype": dtype, "densepose": densepose, "face": face}
        self._defaults: dict[str, Any] = {name: value for name, value in names.items() if value != "auto"}
        if offline:
            self._defaults["offline"] = True
        self._cache = RunCache(None if folder is None else Path(folder), kept=open_kept(cache))

    @classmethod
    def load(
        cls,
        model: str = "auto",
        *,
        device: str = "auto",
        dtype: str = "auto",
        densepose: str = "auto",
        face: str = "auto",
        offline: bool = False,
        cache: bool = True,
        on_event: EventSink = warn,
    ) -> Animator:
        """An animator with its models loaded.

        model: "tiny" (embedded), "mcld-sd15" (pulled), a folder of weights, or "auto": the published model if it is
        pulled and an accelerator is present. device: "cuda", "mps" or "cpu". dtype: "float32", "bfloat16" or "float16".
        densepose: "body", "tiny", "torchscript" or "detectron2". face: "tiny", "insightface", "dlib" or "none".
        offline: fetch nothing; otherwise the networks of "body" are fetched where they are missing. cache: as for
        `Animator`. Raises WeightsError, MissingDependencyError or UsageError if one of them is not available.
        """
        animator = cls(model, device=device, dtype=dtype, densepose=densepose, face=face, offline=offline, cache=cache)
        animator._cache.load(model, device, dtype, densepose, face, Stages(on_event=on_event), offline)
        return animator

    def animate(
        self,
        source: PhotosLike,
        driving: VideoLike,
        *,
        progress: Progress = ignore_progress,
        on_event: EventSink = warn,
        on_frame: FrameSink = ignore_frame,
        **options: Any,
    ) -> Result:
        """Animate the person of the photo `source` with the motion of `driving`, as `mcld-anim run` does.

        Several photos of the person are given as a list; the result has the scene of the first. Writes the video, its
        report (HTML, JSON, CSV) and the record of the run. `on_frame(frame)` is called with each frame as it is made:
        `frame.picture`, `frame.shown` and `frame.row` are those of `Frame`.
        """
        given = self._clip_inputs(source, driving, options)
        return animate(self._options(RunOptions, given, "animate"), self._cache, progress, on_event, on_frame=on_frame)

    def frames(
        self,
        source: PhotosLike,
        driving: VideoLike,
        *,
        progress: Progress = ignore_progress,
        on_event: EventSink = warn,
        **options: Any,
    ) -> Iterator[Frame]:
        """The frames of `animate` as they are made, each with its row of the report; no file is written.

        Inputs are checked at once. Options about files (`output`, `audio`, `crf`) have no effect.
        """
        given = self._clip_inputs(source, driving, options)
        return self._frames(check_run(self._options(RunOptions, given, "frames")), Stages(progress, on_event))

    def transfer(
        self,
        source: PhotosLike,
        pose: PictureLike,
        *,
        progress: Progress = ignore_progress,
        on_event: EventSink = warn,
        **options: Any,
    ) -> Picture:
        """The person of the photo `source` in the pose of another picture or of an IUV file, uint8 (H, W, 3) RGB.

        Writes the PNG with its report and record, as `mcld-anim pose` does, if an `output` is given.
        """
        given = {**options, "source": self._photos(source, "source"), "pose": self._picture(pose, "pose")}
        return self._picture_of(self._options(PoseOptions, given, "transfer"), progress, on_event)

    def edit(
        self,
        source: PhotosLike,
        *,
        progress: Progress = ignore_progress,
        on_event: EventSink = warn,
        **options: Any,
    ) -> Picture:
        """The person of the photo `source` with edits, in their own pose, uint8 (H, W, 3) RGB.

        Writes the PNG with its report and record, as `mcld-anim edit` does, if an `output` is given.
        """
        resolved = self._options(EditOptions, {**options, "source": self._photos(source, "source")}, "edit")
        return self._picture_of(resolved, progress, on_event)

    def densepose(
        self,
        input: PathLike,
        *,
        progress: Progress = ignore_progress,
        on_event: EventSink = warn,
        **options: Any,
    ) -> DensePoseResult:
        """Write the DensePose IUV of every frame of a video, or of a photo, as `mcld-anim densepose` does."""
        return self.run(self._options(DensePoseOptions, {**options, "input": input}, "densepose"), progress, on_event)

    def texture(self, photo: PhotosLike, *, on_event: EventSink = warn, **options: Any) -> TextureResult:
        """The UV texture of the person in a photo, or in a list of photos, uint8 (512, 512, 3) RGB; written to `output`
        as PNG, if given."""
        given = {**options, "photo": self._photos(photo, "photo")}
        return self.run(self._options(TextureOptions, given, "texture"), on_event=on_event)

    def report(
        self,
        video: PathLike,
        source: PictureLike,
        *,
        progress: Progress = ignore_progress,
        on_event: EventSink = warn,
        **options: Any,
    ) -> ReportResult:
        """Write a report that compares an existing video with a photo of its person, as `mcld-anim report` does."""
        given = {**options, "video": video, "source": self._picture(source, "source")}
        return self.run(self._options(ReportOptions, given, "report"), progress, on_event)

    @overload
    def run(
        self,
        options: RunOptions | PoseOptions | EditOptions,
        progress: Progress = ...,
        on_event: EventSink = ...,
        profile: bool = ...,
    ) -> Result: ...
    @overload
    def run(
        self, options: DensePoseOptions, progress: Progress = ..., on_event: EventSink = ...
    ) -> DensePoseResult: ...
    @overload
    def run(self, options: TextureOptions, progress: Progress = ..., on_event: EventSink = ...) -> TextureResult: ...
    @overload
    def run(self, options: ReportOptions, progress: Progress = ..., on_event: EventSink = ...) -> ReportResult: ...

    def run(
        self,
        options: EstimatorOptions,
        progress: Progress = ignore_progress,
        on_event: EventSink = warn,
        profile: bool = False,
    ) -> Result | DensePoseResult | TextureResult | ReportResult:
        """Run the command of these complete options, and write its files.

        `profile`: with RunOptions, also the files of `mcld_anim.run.profile`.
        """
        match options:
            case RunOptions():
                return animate(options, self._cache, progress, on_event, profile)
            case PoseOptions() | EditOptions():
                from mcld_anim.run.transfer import transfer

                return transfer(options, self._cache, progress, on_event)
            case DensePoseOptions():
                from mcld_anim.run.densepose import densepose

                return densepose(options, progress, on_event)
            case TextureOptions():
                from mcld_anim.run.texture import texture

                return texture(options, on_event)
            case ReportOptions():
                from mcld_anim.run.report import report

                return report(options, progress=progress, on_event=on_event)
        raise UsageError(f"{type(options).__name__} is not a class of command options: give RunOptions or the like")

    def split(
        self, options: RunOptions, count: int, progress: Progress = ignore_progress, on_event: EventSink = warn
    ) -> tuple[FrameRange, ...]:
        """At most `count` ranges of a clip's frames, for animators in several processes: each makes some of them by
        `make_range`, then one publishes the result by `join`. See `mcld_anim.run.ranges`."""
        from mcld_anim.run.ranges import split

        return split(options, self._cache, count, progress, on_event)

    def make_range(
        self,
        options: RunOptions,
        frames: FrameRange,
        progress: Progress = ignore_progress,
        on_event: EventSink = warn,
    ) -> None:
        """Make the frames of a range, and keep them beside the output."""
        from mcld_anim.run.ranges import make_range

        make_range(options, self._cache, frames, progress, on_event)

    def join(
        self,
        options: RunOptions,
        ranges: tuple[FrameRange, ...],
        progress: Progress = ignore_progress,
        on_event: EventSink = warn,
    ) -> Result:
        """Write the files of a run whose ranges are all made."""
        from mcld_anim.run.ranges import join

        return join(options, self._cache, ranges, progress, on_event)

    @property
    def checksums(self) -> Checksums:
        """SHA-256 of the inputs; each file is read once."""
        return self._cache.checksums

    def close(self) -> None:
        """Delete the working files and forget models, source and poses."""
        self._cache.close()

    def __enter__(self) -> Animator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _frames(self, plan: RunPlan, stages: Stages) -> Iterator[Frame]:
        self._cache.check_driving(plan, stages)
        from mcld_anim.run.clip import open_clip
        from mcld_anim.run.frames import make_frames

        with tempfile.TemporaryDirectory(prefix="frames-", dir=self._cache.folder) as work, ExitStack() as stack:
            clip = open_clip(plan, self._cache, stages)
            yield from stack.enter_context(closing(make_frames(clip, Path(work))))

    def _picture_of(self, options: PoseOptions | EditOptions, progress: Progress, on_event: EventSink) -> Picture:
        """The picture, in memory only if no output is named."""
        if options.output is None:
            from mcld_anim.run.transfer import make_picture

            return make_picture(options, self._cache, progress, on_event).picture
        made = self.run(options, progress, on_event).picture
        assert made is not None
        return made

    def _options(self, cls: type[Options], given: Mapping[str, Any], method: str) -> Options:
        """Complete options, with the animator's own defaults for keywords that are not given."""
        known = {field.name for field in fields(cls)}
        defaults = {name: value for name, value in self._defaults.items() if name in known}
        return resolve_options(cls, {**defaults, **given}, f"Animator.{method}")

    def _clip_inputs(self, source: PhotosLike, driving: VideoLike, options: Mapping[str, Any]) -> dict[str, Any]:
        given = {**options, "source": self._photos(source, "source")}
        if isinstance(driving, str | Path):
            return {**given, "driving": driving}
        frames = video_file(driving, given.pop("fps", None), self._cache.folder)
        return {**given, "driving": frames}

    def _photos(self, given: PhotosLike, what: str) -> Path | str | list[Path | str]:
        if isinstance(given, list | tuple):
            return [self._picture(photo, what) for photo in given]
        return self._picture(cast(PictureLike, given), what)

    def _picture(self, given: PictureLike, what: str) -> Path | str:
        return given if isinstance(given, str | Path) else picture_file(given, what, self._cache.folder)
