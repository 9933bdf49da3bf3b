"""Options for the frames of a video and the person to follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from mcld_anim.core.errors import UsageError
from mcld_anim.options.checks import check_choice, check_range
from mcld_anim.options.domain import Range, check_ranges
from mcld_anim.options.person import PersonChoice, parse_person


@dataclass(frozen=True, kw_only=True)
class ClipOptions:
    """The options shared by `run` and `densepose`."""

    person: str | int = "largest"  # whom to follow: "largest", N (from the left, from 1) or "x,y" in pixels
    fps: float | Literal["source"] = "source"  # frames per second; "source": the video's own rate
    start: Annotated[float, Range(0)] = 0.0  # seconds of the video to skip
    end: Annotated[float | None, Range(0)] = None  # second of the video to stop at; None: its end
    max_frames: Annotated[int | None, Range(1)] = None  # largest number of frames; None: no limit

    def check_clip(self) -> None:
        """Refuse an impossible range, rate or person."""
        if isinstance(self.fps, str):
            check_choice("--fps", self.fps, ("source",), "or a number of frames per second")
        else:
            check_range("--fps", self.fps, 0.1, 240.0)
        check_ranges(self)
        if self.end is not None and self.end <= self.start:
            raise UsageError(f"--end {self.end:g} is not after --start {self.start:g}; both are seconds")
        parse_person(self.person)

    @property
    def person_choice(self) -> PersonChoice:
        """The parsed `--person`. Raises UsageError if it is malformed."""
        return parse_person(self.person)

    @property
    def grid(self) -> tuple[float | Literal["source"], float, float | None, int | None]:
        """fps, start, end and max_frames, in the order of `video.read`."""
        return self.fps, self.start, self.end, self.max_frames
