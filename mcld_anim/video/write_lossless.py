"""Writing lossless working copies of frames, as FFV1 in Matroska, which is read like any other video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np

from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import OutputError
from mcld_anim.video.container import ffmpeg_errors, pyav, reason
from mcld_anim.video.rates import exact_rate


class LosslessWriter:
    """Writes RGB pictures of one size; readers return the same bytes. Use it in a `with` block."""

    def __init__(self, path: Path, size: tuple[int, int], fps: float | Fraction) -> None:
        """`size` is (height, width)."""
        self.path, self.size = path, size
        # bitexact: no random identifier and no date, so that equal frames give equal files, by which runs are resumed
        options = {"fflags": "+bitexact"}
        self._out = pyav().open(f"file:{path.absolute()}", "w", format="matroska", options=options)
        self._video = self._out.add_stream("ffv1", rate=exact_rate(fps, "fps"))
        self._video.height, self._video.width, self._video.pix_fmt = *size, "bgr0"  # FFV1's 8-bit RGB

    def write(self, picture: Picture) -> None:
        """Add one frame: uint8 (height, width, 3) RGB of the writer's size."""
        self._encode(pyav().VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24"))

    def __enter__(self) -> LosslessWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._encode(None)
        self._out.close()

    def _encode(self, frame: object) -> None:
        try:
            for packet in self._video.encode(frame):
                self._out.mux(packet)
        except ffmpeg_errors() as error:
            raise OutputError(f"{self.path} could not be written ({reason(error)}); check the free space") from error
