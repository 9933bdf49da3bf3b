"""`synth retarget`: one person's dance retargeted to another, against the other rendered in the same poses.

Everybody stands on one floor before one camera, so that the photo says how tall the source truly is. The driving IUV
goes through what `run --retarget` does, and is compared with the IUV of the source dancing the same dance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.core.arrays import PART_COUNT, Iuv
from mcld_anim.core.errors import UsageError
from mcld_anim.core.stages import Stages, ignore_progress
from mcld_anim.evaluate.densepose import compare_iuv
from mcld_anim.evaluate.held_out import default_settings
from mcld_anim.evaluate.stability import HEIGHT_SHARE
from mcld_anim.metrics.pictures import psnr
from mcld_anim.model.appearance import SourceAppearance, encode_source
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RetargetName
from mcld_anim.pose.driving_change import driving_change
from mcld_anim.pose.retarget import retargeted
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.synthetic.dance import dance_pose, random_routine
from mcld_anim.synthetic.identity import check_held_out
from mcld_anim.synthetic.motion import relaxed_pose
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import View, draw_light
from mcld_anim.synthetic.views import fit_view, person_background

WAYS: tuple[RetargetName, ...] = ("off", "scale", "limbs")
SECONDS_APART = 0.2
"""Between frames: far enough for another pose, no beat of the dance's 0.5 seconds."""
PICTURES = 3
"""Frames of each dance that the model makes, evenly spread."""
LEAST_PART = 12
"""Pixels that a part must have in both IUV for its place to be compared, in a frame of 256."""


@dataclass(frozen=True)
class Pair:
    """A source and a driver in one dance."""

    photo: Rendering  # of the source
    driving: list[Rendering]  # the driver's dance
    truths: list[Rendering]  # the source's


@dataclass
class WayTotals:
    """What one way of retargeting gave, frame by frame."""

    iou: list[float] = field(default_factory=list)
    part_accuracy: list[float] = field(default_factory=list)
    part_errors: list[float] = field(default_factory=list)  # pixels, part by part
    foot_error: list[float] = field(default_factory=list)  # pixels
    person_psnr: list[float] = field(default_factory=list)  # dB

    def add(self, made: Iuv, truth: Iuv) -> None:
        """Measure one frame's IUV."""
        figures = compare_iuv(made, truth)
        self.iou.append(figures["densepose_foreground_iou"])
        self.part_accuracy.append(figures["densepose_part_accuracy"])
        self.part_errors.extend(part_distances(made, truth))
        self.foot_error.append(abs(lowest(made) - lowest(truth)))

    def figures(self, way: str) -> dict[str, float]:
        """Under the names of the command."""
        return {
            f"{way}_iou": float(np.mean(self.iou)),
            f"{way}_part_accuracy": float(np.mean(self.part_accuracy)),
            f"{way}_part_error": float(np.median(self.part_errors)),
            f"{way}_foot_error": float(np.mean(self.foot_error)),
            f"{way}_person_psnr": float(np.mean(self.person_psnr)),
        }


def retarget_figures(
    models: LoadedModels,
    first_seed: int,
    people: int,
    frames: int,
    on_person: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """Held-out people, each driven by the next one's dance; pictures are square of the model's frame height.

    *_iou: intersection over union of the person in made and true IUV. *_part_accuracy: share of the true person's
    pixels with the right part. *_part_error: median distance of a part's middle from its true place, pixels.
    *_foot_error: mean distance of the lowest row from the true one, pixels. *_person_psnr: dB, inside the true person,
    of what the embedded model makes of `PICTURES` frames. Ways: what `--retarget` knows.
    """
    check_held_out(first_seed)
    if people < 2:
        raise UsageError("--people must be 2 or more: each is driven by the next")
    size = models.mcld.options.frame_size[0]
    totals = {way: WayTotals() for way in WAYS}
    for number in range(people):
        pair = draw_pair(first_seed + number, first_seed + (number + 1) % people, frames, size)
        source = encode_source(pair.photo.picture, pair.photo.iuv, models.mcld, models.face_backend)
        for way in WAYS:
            made = retargeted_dance(pair, way)
            for iuv, truth in zip(made, pair.truths, strict=True):
                totals[way].add(iuv, truth.iuv)
            totals[way].person_psnr.extend(picture_figures(models, source, made, pair.truths))
        on_person(number + 1, people)
    return {name: value for way in WAYS for name, value in totals[way].figures(way).items()}


def draw_pair(source_seed: int, driver_seed: int, frames: int, size: int) -> Pair:
    """Two people in the source's dance, on one floor, before one camera and the source's background."""
    source, driver = Person.from_seed(source_seed), Person.from_seed(driver_seed)
    routine = random_routine(np.random.default_rng([source_seed, 6]))
    poses = [dance_pose(number * SECONDS_APART, routine=routine) for number in range(frames)]
    standing = relaxed_pose(np.random.default_rng([source_seed, 4, 0]))
    floor = np.array([0, 0, 1], np.float32)
    everywhere = [
        person.posed(pose)[::8] + floor * person.identity.stature / 2
        for person in (source, driver)
        for pose in (standing, *poses)
    ]
    tallest = max(source.identity.stature, driver.identity.stature)
    view = fit_view(np.concatenate(everywhere), View(), tallest, HEIGHT_SHARE)
    light, background = draw_light(np.random.default_rng([source_seed, 3])), person_background(source, size)
    views = [replace(view, z=view.z - person.identity.stature / 2) for person in (source, driver)]
    return Pair(
        render(source, standing, views[0], light, background, size),
        [render(driver, pose, views[1], light, background, size) for pose in poses],
        [render(source, pose, views[0], light, background, size) for pose in poses],
    )


def retargeted_dance(pair: Pair, way: RetargetName) -> list[Iuv]:
    """The driver's IUV as `run --retarget WAY` would change them."""
    driving = [frame.iuv for frame in pair.driving]
    change = driving_change(way, pair.photo.iuv, driving, False, Stages(ignore_progress, lambda event: None))
    return driving if change is None else [retargeted(iuv, change) for iuv in driving]


def picture_figures(
    models: LoadedModels, source: SourceAppearance, made: list[Iuv], truths: list[Rendering]
) -> list[float]:
    """dB inside the true person of the model's pictures, of some frames."""
    chosen = np.unique(np.linspace(0, len(made) - 1, PICTURES).round().astype(int)).tolist()
    maker = FrameMaker(models.mcld, source, default_settings(models.mcld))
    pictures = maker.make([ClipFrame(index, FramePose(made[index])) for index in chosen])
    return [
        psnr(picture, truths[index].picture, truths[index].iuv[..., 0] > 0)
        for index, picture in zip(chosen, pictures, strict=True)
    ]


def part_distances(made: Iuv, truth: Iuv) -> list[float]:
    """Pixels between the middles of each part in both IUV, of parts that both show."""
    least = LEAST_PART * made.shape[0] ** 2 / 256**2
    found = []
    for part in range(1, PART_COUNT + 1):
        here, there = np.argwhere(made[..., 0] == part), np.argwhere(truth[..., 0] == part)
        if min(len(here), len(there)) >= least:
            found.append(float(np.linalg.norm(here.mean(0) - there.mean(0))))
    return found


def lowest(iuv: Iuv) -> int:
    """The lowest row that shows the person; -1 where nobody is."""
    rows = np.flatnonzero((iuv[..., 0] > 0).any(1))
    return int(rows[-1]) if len(rows) else -1
