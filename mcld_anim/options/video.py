"""What a user may ask of `run` beyond single frames: what stands behind the person, and how the video is held still."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mcld_anim.core.errors import UsageError
from mcld_anim.options.checks import check_choice, check_range
from mcld_anim.options.person import PersonChoice, parse_person

BACKGROUNDS = ("generated", "source", "driving", "transparent")
"""Names that `--background` understands; anything else is a colour (#rrggbb) or the path of a picture or video."""

COLOUR_PATTERN = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """The part of `RunOptions` that single pictures have no use for."""

    person: str | int = "largest"  # whom of the driving video to follow: "largest", N (from the left, from 1) or "x,y"
    background: str = "generated"  # "generated", "source", "driving", "transparent", "#rrggbb" or a file

    framing: Literal["fixed", "track", "full"] = (
        "fixed"  # one crop around the person, one that follows, the whole frame
    )
    paste_back: bool = False  # the person in the whole driving frame, at its size, instead of the crop
    pose_cleanup: float = 0.6  # how much a pose listens to its neighbours, 0 (untouched) .. 1
    blending: Literal["surface", "neighbour"] = "surface"  # what `blend` follows: the surface, or cells in place
    min_face_similarity: float | None = None  # cosine, -1..1: frames below are tried again; None: none are
    retries: int = 3  # tries at most after the first, see `mcld_anim.run.identity_guard`

    def check_video(self, side_by_side: bool) -> None:
        """Refuse what cannot be done; `side_by_side` is the option of that name."""
        if not self.background or (self.background.startswith("#") and not COLOUR_PATTERN.fullmatch(self.background)):
            raise UsageError(
                f"--background {self.background or 'is empty'}: give {', '.join(BACKGROUNDS)}, "
                "a colour such as #00ff00, or the path of a picture or video"
            )
        parse_person(self.person)
        check_choice("--framing", self.framing, ("fixed", "track", "full"))
        check_range("--pose-cleanup", self.pose_cleanup, 0.0, 1.0)
        check_choice("--blending", self.blending, ("surface", "neighbour"))
        check_range("--min-face-similarity", self.min_face_similarity, -1.0, 1.0)
        check_range("--retries", self.retries, 0, 20)
        if side_by_side and self.background == "transparent":
            raise UsageError("--side-by-side has no transparent form: choose another --background, or leave it out")
        if self.paste_back and self.background != "driving":
            raise UsageError("--paste-back puts the person into the driving video: it needs --background driving")
        if self.paste_back and side_by_side:
            raise UsageError("--side-by-side shows crops, --paste-back whole frames: leave one of them out")

    @property
    def person_choice(self) -> PersonChoice:
        """What `--person` says; UsageError where it says nothing that is known."""
        return parse_person(self.person)

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the output's name may end in, the usual one first."""
        return (".mov", ".zip") if self.background == "transparent" else (".mp4",)

    @property
    def background_colour(self) -> tuple[int, int, int] | None:
        """Red, green and blue of `--background #rrggbb`, 0..255."""
        if not self.background.startswith("#"):
            return None
        return int(self.background[1:3], 16), int(self.background[3:5], 16), int(self.background[5:7], 16)

    @property
    def background_file(self) -> Path | None:
        """The picture or video that stands behind the person, if one was named."""
        if self.background in BACKGROUNDS or self.background.startswith("#"):
            return None
        return Path(self.background).expanduser()
