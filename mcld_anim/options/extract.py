"""Options of the verbs that need no diffusion model: `densepose`, `texture` and `report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcld_anim.core.errors import UsageError
from mcld_anim.options.checks import check_choice
from mcld_anim.options.clip import ClipOptions
from mcld_anim.options.estimators import FACE_BACKENDS, EstimatorOptions, FaceName
from mcld_anim.options.photos import check_photos


@dataclass(frozen=True, kw_only=True)
class DensePoseOptions(EstimatorOptions, ClipOptions):
    """Options of `mcld-anim densepose`: a video or photo becomes an IUV sequence."""

    input: Path  # video or photo; `output` is a .zip archive or a folder, for a photo also .png
    weights: Path | None = None  # weights file of the estimator; None: the embedded or the pulled one

    def __post_init__(self) -> None:
        self.check_estimators()
        self.check_not_precomputed("an IUV file needs no estimation")
        self.check_clip()


@dataclass(frozen=True, kw_only=True)
class TextureOptions(EstimatorOptions):
    """Options of `mcld-anim texture`: a photo becomes its UV texture."""

    photo: Path  # photo of a person; `output` is a .png
    more_photos: tuple[Path, ...] = ()  # further photos of the same person: given as `photo`, in a list
    iuv: Path | None = None  # IUV of the only photo; None: estimated

    def __post_init__(self) -> None:
        self.check_estimators()
        self.check_not_precomputed("give an IUV file to --iuv")
        check_photos("texture", self.more_photos)
        if self.iuv is not None and self.more_photos:
            raise UsageError(f"--iuv {self.iuv} is of one photo: leave it out, or give one photo")
        if self.output is not None and self.output.suffix.lower() != ".png":
            raise UsageError(f"--output {self.output} does not end in .png: that is the format which is written")

    @property
    def photos(self) -> tuple[Path, ...]:
        """Every photo of the person."""
        return (self.photo, *self.more_photos)


@dataclass(frozen=True, kw_only=True)
class ReportOptions(EstimatorOptions):
    """Options of `mcld-anim report`: the report on any video of a person, compared with a photo."""

    video: Path  # made by any program
    source: Path  # photo of the person that it should show; `output` is the page, NAME.report.html
    face: FaceName = "auto"  # face embedder; auto: insightface if it is installed, else the embedded one; or "none"

    def __post_init__(self) -> None:
        self.check_estimators()
        check_choice("--face", self.face, FACE_BACKENDS)
        if self.output is not None and not self.output.name.endswith(".report.html"):
            raise UsageError(f"--output {self.output} does not end in .report.html: give the page such a name")
