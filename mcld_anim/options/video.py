"""Options of `run` beyond single frames: background, framing, and temporal stability."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from mcld_anim.core.errors import UsageError
from mcld_anim.core.home import expanded
from mcld_anim.options.checks import check_choice
from mcld_anim.options.domain import Names, Range

BACKGROUND_NAMES = ("generated", "source", "driving", "transparent")
"""Values of `--background`; anything else is a colour (#rrggbb) or the path of a picture or video."""

COLOUR_PATTERN = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """The part of `RunOptions` that does not apply to single pictures."""

    background: Annotated[str, Names(BACKGROUND_NAMES, or_file=True)] = "generated"  # or "#rrggbb", or a file

    framing: Literal["auto", "photo", "fixed", "track", "full"] = "auto"
    """The source's "photo"; or, of the driving video: one crop around the person in all frames, one that follows the
    person, or the whole frame. auto: "photo" where bodies are fitted to source and driver, else "fixed"."""
    paste_back: bool = False  # put the person into the whole driving frame, at its size, instead of the crop
    pose_cleanup: Annotated[float, Range(0, 1)] = 0.6  # weight of the neighbouring frames in it, 0 = off
    blending: Literal["surface", "neighbour"] = "surface"  # what `blend` follows: the surface, or cells in place
    min_face_similarity: Annotated[float | None, Range(-1, 1)] = None  # cosine; frames below it are made again
    retries: Annotated[int, Range(0, 20)] = 3  # tries at most after the first, see `mcld_anim.run.identity_guard`

    def check_video(self, side_by_side: bool) -> None:
        """Refuse impossible values and combinations; `side_by_side` is the option of that name."""
        if not self.background or (self.background.startswith("#") and not COLOUR_PATTERN.fullmatch(self.background)):
            raise UsageError(
                f"--background {self.background or 'is empty'}: give {', '.join(BACKGROUND_NAMES)}, "
                "a colour such as #00ff00, or the path of a picture or video"
            )
        check_choice("--framing", self.framing, ("auto", "photo", "fixed", "track", "full"))
        check_choice("--blending", self.blending, ("surface", "neighbour"))
        if side_by_side and self.background == "transparent":
            raise UsageError("--side-by-side cannot be transparent: choose another --background, or leave it out")
        if self.paste_back and self.background != "driving":
            raise UsageError("--paste-back puts the person into the driving video: it needs --background driving")
        if self.paste_back and side_by_side:
            raise UsageError("--side-by-side shows crops, --paste-back whole frames: leave one of them out")

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Allowed suffixes of the output, the default first."""
        return (".mov", ".zip") if self.background == "transparent" else (".mp4",)

    @property
    def background_colour(self) -> tuple[int, int, int] | None:
        """Red, green and blue of `--background #rrggbb`, 0..255."""
        if not self.background.startswith("#"):
            return None
        return int(self.background[1:3], 16), int(self.background[3:5], 16), int(self.background[5:7], 16)

    @property
    def background_file(self) -> Path | None:
        """The picture or video behind the person, if one was given."""
        if self.background in BACKGROUND_NAMES or self.background.startswith("#"):
            return None
        return expanded(self.background)
