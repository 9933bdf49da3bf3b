"""A run goes on where an earlier one of the same frames was cut off.

Finished frames are kept in the run's work folder, batch by batch, with what they depend on. The video itself is encoded
from all of them, kept and new, so it is the one that an uninterrupted run would have made.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.errors import McldAnimError, UnfinishedError
from mcld_anim.core.events import Event
from mcld_anim.core.work_folder import Work
from mcld_anim.options.edits import EDIT_FILES
from mcld_anim.run.border import Border
from mcld_anim.run.clip import Clip
from mcld_anim.run.edited import edits_of
from mcld_anim.run.frame_log import FrameLog, KeptFrame
from mcld_anim.run.frames import Frame, make_frames
from mcld_anim.run.record import resolved_options, versions

PIXELS = "6"
"""To be raised with every change of this program that changes frames or how they are kept: those of earlier states are
not gone on from."""

NOT_IN_FRAMES = (
    *("output", "overwrite", "offline", "resume", "audio", "audio_codec", "crf"),  # of the files made from frames
    *("source", "more_sources", "driving"),  # in the identity by content
    *("preset", "step_scale"),  # resolved into others
    *("tint", *EDIT_FILES),  # in the identity as edits
    *("attention_maps", "offload"),
)
"""Options that no frame depends on by themselves."""

NOT_IN_PIXELS = ("python", "system", "imageio-ffmpeg")
"""Versions that are recorded and change no frame."""


def identity_of(clip: Clip, checksums: Checksums) -> dict[str, str]:
    """Everything that the frames of a clip depend on, by name."""
    options = clip.options
    resolved = resolved_options(options, clip.models, clip.settings, clip.scene.chosen)
    identity = {name: str(value) for name, value in resolved.items() if name not in NOT_IN_FRAMES}
    files = {"source": options.source, "driving": options.driving}
    files |= {"densepose": options.precomputed} if options.precomputed is not None else {}
    files |= {f"source {number}": photo for number, photo in enumerate(options.more_sources, 2)}
    files |= {"background": options.background_file} if options.background_file is not None else {}
    identity |= {name: checksums.of(path) for name, path in files.items()}
    identity |= edits_of(options, checksums)
    identity |= {f"weights {name}": checksum for name, checksum in clip.weights.items()}
    identity |= {f"version of {name}": one for name, one in versions().items() if name not in NOT_IN_PIXELS}
    return identity | {"version of pixels": PIXELS}


class KeptFrames:
    """The frames of a clip, those that are kept already and new ones, each of which is kept too."""

    def __init__(self, clip: Clip, work: Work, checksums: Checksums) -> None:
        """Find out where to go on: at the beginning if the frames in `work` are of another run, which is told."""
        self._clip, self._folder = clip, work.new
        if not clip.options.resume:
            shutil.rmtree(work.kept, ignore_errors=True)
        self._log = FrameLog(work.kept, identity_of(clip, checksums))
        stages, total, name = clip.stages, len(clip.driving), work.outputs.result
        if self._log.differences:
            why = "; ".join(self._log.differences)
            stages.emit(Event("started_anew", f"{name}: the frames kept of an earlier run are not used: {why}"))
        if self._log.count:
            done = self._log.count
            where = "all" if done == total else f"going on from frame {done}: the first {done}"
            message = f"{name}: {where} of {total} frames are kept of an earlier run"
            stages.emit(Event("resumed", message))

    @property
    def resumed_from(self) -> int | None:
        """The frame that this run goes on from; None if it begins with the first."""
        return self._log.start.index or None

    @property
    def batches_left(self) -> int:
        """The number of batches that are not kept."""
        return -(-(len(self._clip.driving) - self._log.count) // self._clip.options.batch_size)

    def frames(self, after_batch: Callable[[], None] | None = None) -> Generator[Frame | KeptFrame]:
        """All frames in order; a new one is yielded when it is encoded, and kept when its batch is.

        Then `after_batch` is called. With it stages do not overlap: a profiler sees one thread.
        """
        stages = self._clip.stages
        stages.add(self._log.seconds)
        yield from self._log.frames()

        def commit(border: Callable[[], Border]) -> None:
            with stages.timed("keeping"):
                self._log.commit(border(), stages.rounded_seconds())
            if after_batch is not None:
                after_batch()

        clip, start = self._clip, self._log.start
        with closing(make_frames(clip, self._folder, start, None, commit, overlapped=after_batch is None)) as made:
            for frame in made:
                with stages.timed("keeping"):
                    self._log.add(frame)
                yield frame

    @contextmanager
    def told(self) -> Iterator[None]:
        """Say, if the block fails, how many frames are kept and how to go on."""
        try:
            yield
        except (McldAnimError, OSError) as error:
            if not self._log.count:
                raise
            why = str(error)
            if not isinstance(error, McldAnimError):
                why = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
            raise UnfinishedError(f"{why}; {self._sentence}") from error
        except BaseException:
            if self._log.count:
                self._clip.stages.emit(Event("frames_kept", self._sentence))
            raise
        finally:
            self._log.close()

    @property
    def _sentence(self) -> str:
        return (
            f"{self._log.count} of {len(self._clip.driving)} frames are kept: the same command again goes on there, "
            "with --no-resume it starts anew"
        )
