"""`mcld-anim synth eval`: the embedded model against rendered truth, on people that training never sees.

Every person comes from a seed in the reserved range. The first view is the photo. The other views, each with its own
pose, framing and turn, are the ground truth that the model must generate from the photo and the exact IUV. The same
metrics are computed for naive predictors, as a lower bound, and for the autoencoder alone, as an upper bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from jaxtyping import UInt8

from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import UsageError
from mcld_anim.core.pixels import to_signed
from mcld_anim.evaluate.densepose import densepose_metrics
from mcld_anim.evaluate.embedded import load_embedded_models
from mcld_anim.evaluate.faces import face_metrics, swap_drops, swap_metrics, verification_metrics
from mcld_anim.evaluate.over_people import over_people
from mcld_anim.evaluate.stability import StabilityEvaluationOptions, stability_metrics
from mcld_anim.metrics.pictures import psnr, ssim
from mcld_anim.model.appearance import SourceAppearance, encode_source
from mcld_anim.model.build import Mcld
from mcld_anim.model.load import LoadedModels
from mcld_anim.pose.condition import warped_source
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.sampling.settings import SamplingSettings
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED, check_held_out
from mcld_anim.synthetic.person import Person, Rendering, render, shade_picture
from mcld_anim.synthetic.views import SOURCE_VIEWS, Shot, draw_shots, person_background


@dataclass(frozen=True)
class EvaluationOptions:
    """What `synth eval` measures."""

    people: int = 8
    poses: int = 16  # of each person
    first_seed: int = FIRST_EVALUATION_SEED
    identities: int = 60  # held-out heads whose close-ups the face embedder verifies
    clips: int = 4  # people whose dances give the stability metrics
    clip_frames: int = 48  # frames of each dance
    settings: SamplingSettings | None = None  # None: the model's default steps and guidance, noise seed 0, no blending

    def __post_init__(self) -> None:
        check_held_out(self.first_seed)
        if self.people < 2 or self.poses < 1:
            raise UsageError("--people must be 2 or more (each is compared with the others), --poses 1 or more")


@dataclass
class Metrics:
    """Collects values per metric; each mean is over the frames that have the metric."""

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, **metrics: float) -> None:
        for name, value in metrics.items():
            self.values.setdefault(name, []).append(value)

    def join(self, other: Metrics) -> None:
        for name, values in other.values.items():
            self.values.setdefault(name, []).extend(values)

    def means(self) -> dict[str, float]:
        return {name: float(np.mean(values)) for name, values in self.values.items()}


@dataclass(frozen=True)
class Subject:
    """One held-out person: the photo, the other shots, and their ground-truth renderings."""

    person: Person
    photo: Rendering
    shots: list[Shot]
    truths: list[Rendering]


def evaluate(
    options: EvaluationOptions,
    models: LoadedModels | None = None,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """Metrics by name, means over all people x poses. Frames are squares of the model's frame height.

    `models` replaces the embedded models.

    psnr, ssim: over the whole frame. person_*: inside the truth's person mask (from its IUV). baseline_*: the source's
    UV texture re-rendered by the target IUV, holes filled. grey_, mean_colour_: a constant grey, and the mean colour of
    the person in the photo. vae_: the truth through the autoencoder. right_person_rate: share of the frames whose mean
    colour error over the person mask is smaller against their own person than against every other person in the same
    shot. densepose_*: see `evaluate.densepose.compare_iuv`. face_*: see `evaluate.faces`. texture_change*: see
    `evaluate.stability`.
    """
    measure = partial(measure_person, options)
    measured = over_people(
        measure, options.people, models, lambda done, _: on_frame(done * options.poses, options.people * options.poses)
    )
    metrics = Metrics()
    for of_one, _ in measured:
        metrics.join(of_one)
    swaps = swap_metrics([drops for _, drops in measured])
    faces = verification_metrics(
        (models or load_embedded_models()).face_backend, options.first_seed, options.identities
    )
    clips = StabilityEvaluationOptions(options.clips, options.clip_frames, options.first_seed)
    return metrics.means() | swaps | faces | stability_metrics(clips, models)


def measure_person(options: EvaluationOptions, number: int, models: LoadedModels) -> tuple[Metrics, list[float]]:
    """The metrics of one person's frames, and the `swap_drops` with the face of the person before."""
    size, settings = models.mcld.options.frame_size[0], options.settings or default_settings(models.mcld)
    seeds = [options.first_seed + other for other in range(options.people)]
    subject = draw_subject(seeds[number], options.poses, size)
    others = [Person.from_seed(seed) for seed in seeds if seed != seeds[number]]
    before = draw_subject(seeds[number - 1], 0, size).photo
    shown = subject.photo.picture, subject.photo.iuv
    source = encode_source(*shown, models.mcld, models.face_in(*shown))
    metrics, pictures = Metrics(), []
    for shot, truth, made in generate_frames(models.mcld, source, subject, settings):
        mask = truth.iuv[..., 0] > 0
        metrics.add(
            **frame_metrics(made, truth, mask),
            **naive_metrics(subject.photo, truth, mask),
            **baseline_metrics(source, truth, mask),
            **autoencoder_metrics(models.mcld, truth, mask),
            **densepose_metrics(models.pose_backend, truth),
            **face_metrics(models.face_backend, source, made, truth),
            right_person_rate=float(is_right_person(made, truth, shown_instead(subject.person, shot, truth, others))),
        )
        pictures.append(made)
    truths = subject.truths
    drops = swap_drops(models.mcld, models.face_backend, settings, source, before, truths, pictures)
    return metrics, drops


def default_settings(mcld: Mcld) -> SamplingSettings:
    """The model's default steps and guidance; frames are independent and share the noise of seed 0."""
    defaults = mcld.options.sampling
    return SamplingSettings(steps=defaults.steps, guidance=defaults.guidance, seed=0, noise="shared", blend=0.0)


def draw_subject(seed: int, poses: int, size: int) -> Subject:
    """The held-out person of `seed` with its photo (view 0) and `poses` views from after the source views."""
    person = Person.from_seed(seed)
    (first,) = draw_shots(person, 0, 1)
    shots = draw_shots(person, SOURCE_VIEWS, poses)
    return Subject(
        person,
        render_shot(person, person, first, size),
        shots,
        [render_shot(person, person, s, size) for s in shots],
    )


def render_shot(shown: Person, owner: Person, shot: Shot, size: int) -> Rendering:
    """`shown` in a shot of `owner`, in front of the owner's background."""
    return render(shown, shot.pose, shot.view, shot.light, person_background(owner, size), size)


def generate_frames(
    mcld: Mcld, source: SourceAppearance, subject: Subject, settings: SamplingSettings, batch: int = 4
) -> Iterable[tuple[Shot, Rendering, Picture]]:
    """Each shot with its truth and the generated frame."""
    maker = FrameMaker(mcld, source, settings)
    for start in range(0, len(subject.shots), batch):
        indices = range(start, min(start + batch, len(subject.shots)))
        made = maker.make([ClipFrame(i, FramePose(subject.truths[i].iuv)) for i in indices])
        yield from ((subject.shots[i], subject.truths[i], picture) for i, picture in zip(indices, made, strict=True))


def frame_metrics(made: Picture, truth: Rendering, mask: np.ndarray) -> dict[str, float]:
    return {
        "psnr": psnr(made, truth.picture),
        "ssim": ssim(made, truth.picture),
        "person_psnr": psnr(made, truth.picture, mask),
        "person_ssim": ssim(made, truth.picture, mask),
    }


def naive_metrics(photo: Rendering, truth: Rendering, mask: np.ndarray) -> dict[str, float]:
    grey = np.full_like(truth.picture, 128)
    colour = photo.picture[photo.iuv[..., 0] > 0].mean(0).round().astype(np.uint8)
    return {
        "grey_person_psnr": psnr(grey, truth.picture, mask),
        "mean_colour_person_psnr": psnr(np.broadcast_to(colour, truth.picture.shape).copy(), truth.picture, mask),
    }


def baseline_metrics(source: SourceAppearance, truth: Rendering, mask: np.ndarray) -> dict[str, float]:
    copied, _ = warped_source(source.atlas, source.valid, truth.iuv, source.background)
    return {
        "baseline_psnr": psnr(copied, truth.picture),
        "baseline_person_psnr": psnr(copied, truth.picture, mask),
        "baseline_person_ssim": ssim(copied, truth.picture, mask),
    }


@torch.inference_mode()
def autoencoder_metrics(mcld: Mcld, truth: Rendering, mask: np.ndarray) -> dict[str, float]:
    weights = next(mcld.vae.parameters())
    pixels = to_signed(torch.from_numpy(truth.picture).permute(2, 0, 1)[None].to(weights))
    rebuilt = (
        ((mcld.vae.decode(mcld.vae.encode(pixels)) + 1) / 2).clamp(0, 1)[0].permute(1, 2, 0).double().cpu().numpy()
    )
    return {
        "vae_psnr": psnr(rebuilt, truth.picture),
        "vae_person_psnr": psnr(rebuilt, truth.picture, mask),
    }


def shown_instead(
    owner: Person, shot: Shot, truth: Rendering, others: Sequence[Person]
) -> Iterator[UInt8[np.ndarray, "_pixels 3"]]:
    """Every other person in a shot of `owner`: the pixels of the truth's person mask, rendered one by one."""
    size = len(truth.picture)
    mask, background = truth.iuv[..., 0] > 0, person_background(owner, size)
    for other in others:
        yield shade_picture(other, other.posed(shot.pose), shot.view, shot.light, background, size)[mask]


def is_right_person(made: Picture, truth: Rendering, others: Iterable[UInt8[np.ndarray, "_pixels 3"]]) -> bool:
    """Whether `made` is closer to its own person, the truth, than to each of the `others`, see `shown_instead`."""
    mask = truth.iuv[..., 0] > 0
    shown = made[mask].astype(float)
    own = np.abs(shown - truth.picture[mask]).mean()
    return all(own < np.abs(shown - other).mean() for other in others)
