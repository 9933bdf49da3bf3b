"""`mcld-anim synth photos`: what a second photo, of the back, is worth, on people that training never sees.

Every person has a photo of their front and one of their back, in another pose and taken with another exposure and white
balance. Frames that show the back are made from the front alone and from both, by the networks from the exact IUV, and
of the photos' own pixels by bodies fitted to the pictures. Errors count on surface that only the second photo shows.
How much of the error is the fits' is told by the same frames with the exact bodies, which the renderer knows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool

from mcld_anim.background.matte import foreground, person_alpha
from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.body.draw import BodyPainter, DrawnBody
from mcld_anim.body.texels import texel_index
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import UsageError
from mcld_anim.evaluate.embedded import load_embedded_models
from mcld_anim.evaluate.exact_body import exact_body
from mcld_anim.evaluate.held_out import Metrics, default_settings
from mcld_anim.metrics.pictures import psnr
from mcld_anim.model.appearance import encode_source
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.person import LARGEST
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.pose.body_follower import BodyFollower
from mcld_anim.pose.matte_alignment import aligned_body
from mcld_anim.run.photo import PhotoPerson
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.source.joined_warps import joined_warps
from mcld_anim.source.photo_warp import PhotoWarp
from mcld_anim.source.same_person import other_clothes
from mcld_anim.source.surface_views import SurfaceView
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED, check_held_out
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.views import SOURCE_VIEWS, Shot, draw_shots, person_background
from mcld_anim.video.read import VideoFrame

SIZE = 512
"""Side of the pictures that bodies are fitted to, in pixels; the networks have their own frames."""
EXPOSURE, TINT = 0.2, 0.06
"""Standard deviations of the natural logarithms of the second photo's brightness, and of each of its channels."""
BACK_TURN = 0.8
"""Largest turn of a frame's person from showing their back, in radians."""
LEAST_PIXELS = 200
"""Pixels of a frame that only the second photo shows, from which its error counts."""


@dataclass(frozen=True)
class PhotosEvaluationOptions:
    """What `synth photos` renders."""

    people: int = 8
    poses: int = 4  # of each person, seen from behind
    first_seed: int = FIRST_EVALUATION_SEED

    def __post_init__(self) -> None:
        check_held_out(self.first_seed)
        if self.people < 2 or self.poses < 1:
            raise UsageError("--people must be 2 or more (each is compared with the next), --poses 1 or more")


@dataclass(frozen=True, eq=False)
class Sitter:
    """A person with two photos and the frames to be made."""

    person: Person
    shots: list[Shot]  # of front, back and truths
    front: Rendering
    back: Rendering
    truths: list[Rendering]

    @classmethod
    def of_seed(cls, seed: int, poses: int, size: int) -> Sitter:
        """The held-out person of a seed."""
        person, rng = Person.from_seed(seed), np.random.default_rng([seed, 5])
        background = person_background(person, size)
        front, other = draw_shots(person, 0, 2)
        back = _turned(front, other, np.pi + rng.normal(0, 0.2))
        shots = [
            _turned(front, shot, np.pi + rng.uniform(-BACK_TURN, BACK_TURN))
            for shot in draw_shots(person, SOURCE_VIEWS, poses)
        ]
        shots = [front, back, *shots]
        made = [render(person, one.pose, one.view, one.light, background, size) for one in shots]
        gain = np.exp(rng.normal(0, EXPOSURE) + rng.normal(0, TINT, 3))
        changed = np.rint(made[1].picture * gain).clip(0, 255).astype(np.uint8)
        return cls(person, shots, made[0], replace(made[1], picture=changed), made[2:])

    @property
    def views(self) -> tuple[SurfaceView, SurfaceView]:
        """What both photos show, by their exact IUV."""
        front, back = (SurfaceView.of(photo.picture, photo.iuv) for photo in (self.front, self.back))
        return front, back


def photos_metrics(
    options: PhotosEvaluationOptions,
    backend: BodyBackend,
    models: LoadedModels | None = None,
    on_person: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """Metrics by name, means over the frames. `models` replaces the embedded ones.

    networks_*, pixels_*: by the networks, and of the photos' own pixels, by fitted bodies; exact_*: of these pixels, by
    the exact bodies. *_front_psnr, *_both_psnr: error in dB on the surface that only the back's photo shows, from the
    front alone and from both; *_gain: the difference.
    taken_for_other_rate: share of the people whose own back is taken for somebody else's; other_noticed_rate: share of
    the other people's backs that are.
    """
    models, metrics = models or load_embedded_models(), Metrics()
    size = models.options.frame_size[0]
    sitters = []
    for number in range(options.people):
        seed = options.first_seed + number
        sitters.append(Sitter.of_seed(seed, options.poses, size))
        large = Sitter.of_seed(seed, options.poses, SIZE)
        for kind, frames in (
            ("networks", _by_networks(sitters[-1], models)),
            ("pixels", _of_pixels(large, backend)),
            ("exact", _by_exact_bodies(large)),
        ):
            for alone, both in frames:
                metrics.add(**{f"{kind}_front_psnr": alone, f"{kind}_both_psnr": both, f"{kind}_gain": both - alone})
        on_person(number + 1, options.people)
    backs = [sitter.views for sitter in sitters]
    for number, (front, back) in enumerate(backs):
        metrics.add(taken_for_other_rate=float(other_clothes(front, back)))
        metrics.add(other_noticed_rate=float(other_clothes(front, backs[number - 1][1])))
    return metrics.means()


def _turned(like: Shot, shot: Shot, turn: float) -> Shot:
    """The pose of a shot turned to face `turn`, in the view and light of another."""
    return replace(like, pose=shot.pose.changed(turn=turn))


def _only_in_second(views: Sequence[SurfaceView], iuv: Iuv) -> Bool[np.ndarray, "height width"]:
    """Where a frame shows surface that the second view shows and the first does not."""
    only = views[1].valid & ~views[0].valid
    mask = iuv[..., 0] > 0
    mask[mask] = only.ravel()[texel_index(iuv)]
    return np.asarray(mask)


def _errors(
    frames: Sequence[Picture], truth: Picture, mask: Bool[np.ndarray, "height width"]
) -> Iterator[tuple[float, float]]:
    """The PSNR of the frames from one photo and from both; nothing where there is little to see."""
    if np.count_nonzero(mask) >= LEAST_PIXELS:
        alone, both = (psnr(frame, truth, mask) for frame in frames)
        yield alone, both


def _by_networks(sitter: Sitter, models: LoadedModels) -> Iterator[tuple[float, float]]:
    """The errors of the networks' frames."""
    mcld, front, back = models.mcld, sitter.front, sitter.back
    face = models.face_in(front.picture, front.iuv)
    made = []
    for more in ([], [(back.picture, back.iuv)]):
        source = encode_source(front.picture, front.iuv, mcld, face, more=more)
        maker = FrameMaker(mcld, source, default_settings(mcld))
        made.append(maker.make([ClipFrame(k, FramePose(truth.iuv)) for k, truth in enumerate(sitter.truths)]))
    for truth, *frames in zip(sitter.truths, *made, strict=True):
        yield from _errors(frames, truth.picture, _only_in_second(sitter.views, truth.iuv))


def _of_pixels(sitter: Sitter, backend: BodyBackend) -> Iterator[tuple[float, float]]:
    """The errors of frames of the photos' own pixels, in the poses that are fitted to the truth."""
    pictures = [sitter.front.picture, sitter.back.picture]
    bodies = [people[0].body if people else None for people in backend.estimate(pictures)]
    people = []
    for picture, fitted in zip(pictures, bodies, strict=True):
        if fitted is None:
            return
        people.append(PhotoPerson.of(picture, fitted))
    (bent, alone), (_, back) = (person.fitted() for person in people)
    frame, background = people[0].frame, people[0].photo  # no pixel of which counts
    warps = alone, joined_warps([alone, back])
    with tempfile.TemporaryFile() as masks:
        follower = BodyFollower(backend.networks, LARGEST, masks)
        for index, picture in enumerate([pictures[0], *(truth.picture for truth in sitter.truths)]):
            follower.add(VideoFrame(index, float(index), picture), cut=True)  # poses that do not follow each other
        body = follower.fitted()
        painter = BodyPainter(body.motion.shape).bent(bent.offsets)
        for index in np.flatnonzero(body.seen.found)[1:].tolist():
            truth = sitter.truths[index - 1]
            mesh = painter.drawn(frame.motion(body.motion), index, body.hidden[index])
            drawn = aligned_body(mesh, frame.matte(body.matte(index)))
            mask = frame.matte(_only_in_second(sitter.views, truth.iuv).astype(np.uint8) * 255) > 127
            frames = [_made(warp, drawn, background) for warp in warps]
            yield from _errors(frames, frame.picture(truth.picture), mask & drawn.person)


def _by_exact_bodies(sitter: Sitter) -> Iterator[tuple[float, float]]:
    """The errors of frames of the photos' own pixels, if no fit were off."""
    drawn = [exact_body(sitter.person, shot, SIZE) for shot in sitter.shots]
    warps = []
    for photo, body in zip((sitter.front, sitter.back), drawn, strict=False):
        alpha = person_alpha(photo.picture, photo.iuv)
        warps.append(PhotoWarp.of(foreground(photo.picture, alpha), alpha, body))
    joined, background, views = joined_warps(warps), sitter.front.picture, sitter.views
    for truth, body in zip(sitter.truths, drawn[2:], strict=True):
        frames = [_made(warp, body, background) for warp in (warps[0], joined)]
        yield from _errors(frames, truth.picture, _only_in_second(views, truth.iuv))


def _made(warp: PhotoWarp, drawn: DrawnBody, background: Picture) -> Picture:
    return warp.layer(drawn).lit().before(background)
