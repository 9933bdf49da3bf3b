"""Where a clip takes place, with the poses of its frames: in crops of the driving video, or in the source's photo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mcld_anim.body.clip import FramePose
from mcld_anim.body.draw import DrawnBody
from mcld_anim.body.fit import BodyMotion
from mcld_anim.body.place import placed
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import UsageError
from mcld_anim.core.stages import Stages
from mcld_anim.options.run import SynthesisOptions
from mcld_anim.pose.cleanup import RawPose, cleaned
from mcld_anim.pose.driving_change import driving_change
from mcld_anim.pose.iuv_file import IuvWriter, iuv_writer, read_iuv_sequence
from mcld_anim.pose.retarget import retargeted
from mcld_anim.run.checks import RunPlan
from mcld_anim.run.driving import DrivingClip, DrivingMotion, DrivingPoses
from mcld_anim.source.fitted_photo import FittedPhoto
from mcld_anim.video.framing import SteadyCrop

if TYPE_CHECKING:
    from mcld_anim.model.appearance import SourceAppearance


@dataclass(frozen=True, eq=False)
class CropScene:
    """Crops of the driving video around its person: `--framing fixed|track|full`."""

    plan: RunPlan
    source: SourceAppearance
    driving: DrivingPoses
    size: tuple[int, int]  # height and width of the frames

    @property
    def framing(self) -> str:
        """The framing in use."""
        framing = self.plan.options.framing
        return "fixed" if framing == "auto" else framing

    @property
    def chosen(self) -> dict[str, str]:
        """The resolved options."""
        retarget = self.plan.options.retarget
        return {"framing": self.framing, "retarget": "off" if retarget == "auto" else retarget}

    @property
    def picture(self) -> Picture:
        """The source at the size of the frames."""
        return self.source.picture

    @property
    def background(self) -> Picture:
        """The same without its person."""
        return self.source.background

    def crops(self) -> list[SteadyCrop]:
        """Each frame's crop of the driving video."""
        return self.driving.crops(self.size, self.framing)

    def poses(self, folder: Path, stages: Stages, first: int = 0) -> Iterator[FramePose]:
        """The pose of each frame from `first` on: framed, cleaned up, and with the source's proportions.

        `folder` is for working files.
        """
        options, before = self.plan.options, min(first, 1)  # the clean-up looks one raw pose back
        if options.retarget not in ("scale", "limbs"):
            framed = self.driving.framed(self.size, self.framing, first - before)
            yield from islice(cleaned(framed, options.pose_cleanup), before, None)
            return
        kept = folder / "framed"  # the whole clip is measured first; this avoids decoding and cropping it again
        with iuv_writer(kept) as writer:
            seen = _written(self.driving.framed(self.size, self.framing), writer)
            change = driving_change(options.retarget, self.source.iuv, seen, options.background == "driving", stages)
        sequence = read_iuv_sequence(kept)
        raw = (
            (sequence[index], bool(sequence.person_found[index]), bool(sequence.cuts[index]))
            for index in range(first - before, len(sequence))
        )
        for pose in islice(cleaned(raw, options.pose_cleanup), before, None):
            yield pose if change is None else replace(pose, iuv=retargeted(pose.iuv, change))


@dataclass(frozen=True, eq=False)
class PhotoScene:
    """The source's photo, in which its own body moves: `--framing photo`."""

    photo: FittedPhoto
    driving: DrivingClip
    motion: BodyMotion  # of the source's body, in the photo

    @classmethod
    def of(cls, photo: FittedPhoto, driving: DrivingMotion) -> PhotoScene:
        """The scene of a driving motion."""
        return cls(photo, driving, placed(driving.motion, driving.scenes, photo.motion, photo.head))

    @property
    def chosen(self) -> dict[str, str]:
        """The resolved options."""
        return {"framing": "photo", "retarget": "body"}

    @property
    def picture(self) -> Picture:
        """The photo."""
        return self.photo.picture

    @property
    def background(self) -> Picture:
        """The photo without its person."""
        return self.photo.background

    def drawn(self, index: int) -> DrawnBody:
        """The body in a frame."""
        return self.photo.at(index).painter.drawn(self.motion, index)

    def poses(self, _folder: Path, _stages: Stages, first: int = 0) -> Iterator[FramePose]:
        """The pose of each frame from `first` on, drawn when it is asked for."""
        for index, cut in enumerate(self.driving.cuts[first:], first):
            drawn = self.drawn(index)
            found = bool(self.driving.person_found[index])
            yield FramePose(drawn.iuv, found, "seen" if found else "held", cut, drawn)


def posed(photo: FittedPhoto, pose: BodyMotion) -> tuple[FramePose, BodyMotion]:
    """One pose by the photo's body, in the photo."""
    motion = placed(pose, [slice(0, 1)], photo.motion, photo.head)
    drawn = photo.at(0).painter.drawn(motion, 0)
    return FramePose(drawn.iuv, drawn=drawn), motion


def check_no_body(options: SynthesisOptions, estimator: str, framing: str = "auto") -> None:
    """Refuse options that need a result in the photo where there is none."""
    flags = ["--retarget body"] * (options.retarget == "body") + ["--framing photo"] * (framing == "photo")
    if options.long_side is not None:
        flags.append(f"--long-side {options.long_side}")
    if not flags:
        return
    if estimator == "body":
        raise UsageError(f"{flags[0]} needs a result in the photo: leave out --retarget {options.retarget}")
    raise UsageError(
        f"{flags[0]} needs bodies fitted to source and driver, and --densepose {estimator} gives none: run "
        "`mcld-anim models pull blazepose` and give --densepose body"
    )


def _written(poses: Iterator[RawPose], writer: IuvWriter) -> Iterator[Iuv]:
    """The poses of frames in which the person was found; all poses are written to `writer`."""
    for iuv, found, cut in poses:
        writer.write(iuv, found, cut)
        if found:
            yield iuv
