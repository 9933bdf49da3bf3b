"""`mcld-anim synth retarget`: a dance retargeted from one person to another, compared with the rendered truth.

The truth is the source person rendered in the same poses. Both people stand on the same floor in front of the same
camera, so that the photo shows the source's true height. The driving IUV is changed as `run --retarget` changes it.
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
from mcld_anim.evaluate.embedded import load_embedded_models
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
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED, check_held_out
from mcld_anim.synthetic.motion import relaxed_pose
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import View, draw_light
from mcld_anim.synthetic.views import fit_view, person_background

METHODS: tuple[RetargetName, ...] = ("off", "scale", "limbs")
FRAME_INTERVAL = 0.2
"""Time between frames, seconds: long enough for the pose to change, and no divisor of the dance's 0.5-second beat."""
GENERATED_FRAMES = 3
"""Number of frames of each dance that the model generates, evenly spaced."""
MIN_PART_PIXELS = 12
"""Pixels, in a frame of 256 x 256, that a part needs in both IUVs for its position to be compared."""


@dataclass(frozen=True)
class RetargetEvaluationOptions:
    """What `synth retarget` measures."""

    people: int = 8  # each driven by the next
    frames: int = 12  # of each dance
    first_seed: int = FIRST_EVALUATION_SEED

    def __post_init__(self) -> None:
        check_held_out(self.first_seed)
        if self.people < 2:
            raise UsageError("--people must be 2 or more: each is driven by the next")


@dataclass(frozen=True)
class Pair:
    """A source and a driver in one dance."""

    photo: Rendering  # of the source
    driving: list[Rendering]  # the driver's dance
    truths: list[Rendering]  # the source in the same dance


@dataclass
class MethodMetrics:
    """Values of one retargeting method, frame by frame."""

    iou: list[float] = field(default_factory=list)
    part_accuracy: list[float] = field(default_factory=list)
    part_errors: list[float] = field(default_factory=list)  # pixels, one per part
    foot_error: list[float] = field(default_factory=list)  # pixels
    person_psnr: list[float] = field(default_factory=list)  # dB

    def add(self, made: Iuv, truth: Iuv) -> None:
        """Measure one frame's IUV."""
        metrics = compare_iuv(made, truth)
        self.iou.append(metrics["densepose_foreground_iou"])
        self.part_accuracy.append(metrics["densepose_part_accuracy"])
        self.part_errors.extend(part_distances(made, truth))
        self.foot_error.append(abs(lowest_row(made) - lowest_row(truth)))

    def metrics(self, method: str) -> dict[str, float]:
        """Means and medians under the names that the command prints."""
        return {
            f"{method}_iou": float(np.mean(self.iou)),
            f"{method}_part_accuracy": float(np.mean(self.part_accuracy)),
            f"{method}_part_error": float(np.median(self.part_errors)),
            f"{method}_foot_error": float(np.mean(self.foot_error)),
            f"{method}_person_psnr": float(np.mean(self.person_psnr)),
        }


def retarget_metrics(
    options: RetargetEvaluationOptions,
    models: LoadedModels | None = None,
    on_person: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """Metrics by name over held-out people, each driven by the dance of the next, for every `--retarget` method.

    `models` replaces the embedded models. Frames are squares of the model's frame height.

    *_iou: intersection over union of the person in the retargeted and the true IUV. *_part_accuracy: share of the true
    person's pixels with the right part. *_part_error: median distance of a part's centroid from its true position,
    pixels. *_foot_error: mean distance of the person's lowest row from the true one, pixels. *_person_psnr: dB, inside
    the true person, over the `GENERATED_FRAMES`.
    """
    models = models or load_embedded_models()
    first_seed, people = options.first_seed, options.people
    size = models.mcld.options.frame_size[0]
    measured = {method: MethodMetrics() for method in METHODS}
    for number in range(people):
        pair = draw_pair(first_seed + number, first_seed + (number + 1) % people, options.frames, size)
        shown = pair.photo.picture, pair.photo.iuv
        source = encode_source(*shown, models.mcld, models.face_in(*shown))
        for method in METHODS:
            made = retargeted_dance(pair, method)
            for iuv, truth in zip(made, pair.truths, strict=True):
                measured[method].add(iuv, truth.iuv)
            measured[method].person_psnr.extend(generated_psnr(models, source, made, pair.truths))
        on_person(number + 1, people)
    return {name: value for method in METHODS for name, value in measured[method].metrics(method).items()}


def draw_pair(source_seed: int, driver_seed: int, frames: int, size: int) -> Pair:
    """Two people in the source's dance, on one floor, from one camera, in front of the source's background."""
    source, driver = Person.from_seed(source_seed), Person.from_seed(driver_seed)
    routine = random_routine(np.random.default_rng([source_seed, 6]))
    poses = [dance_pose(number * FRAME_INTERVAL, routine=routine) for number in range(frames)]
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


def retargeted_dance(pair: Pair, method: RetargetName) -> list[Iuv]:
    """The driver's IUVs as `run --retarget METHOD` would change them."""
    driving = [frame.iuv for frame in pair.driving]
    change = driving_change(method, pair.photo.iuv, driving, False, Stages(ignore_progress, lambda event: None))
    return driving if change is None else [retargeted(iuv, change) for iuv in driving]


def generated_psnr(
    models: LoadedModels, source: SourceAppearance, made: list[Iuv], truths: list[Rendering]
) -> list[float]:
    """PSNR (dB), inside the true person, of the `GENERATED_FRAMES` frames that the model generates."""
    chosen = np.unique(np.linspace(0, len(made) - 1, GENERATED_FRAMES).round().astype(int)).tolist()
    maker = FrameMaker(models.mcld, source, default_settings(models.mcld))
    pictures = maker.make([ClipFrame(index, FramePose(made[index])) for index in chosen])
    return [
        psnr(picture, truths[index].picture, truths[index].iuv[..., 0] > 0)
        for index, picture in zip(chosen, pictures, strict=True)
    ]


def part_distances(made: Iuv, truth: Iuv) -> list[float]:
    """Distance in pixels between the centroids of each part, for the parts that both IUVs show."""
    least = MIN_PART_PIXELS * made.shape[0] ** 2 / 256**2
    found = []
    for part in range(1, PART_COUNT + 1):
        here, there = np.argwhere(made[..., 0] == part), np.argwhere(truth[..., 0] == part)
        if min(len(here), len(there)) >= least:
            found.append(float(np.linalg.norm(here.mean(0) - there.mean(0))))
    return found


def lowest_row(iuv: Iuv) -> int:
    """The lowest row that shows the person; -1 if the IUV is empty."""
    rows = np.flatnonzero((iuv[..., 0] > 0).any(1))
    return int(rows[-1]) if len(rows) else -1
