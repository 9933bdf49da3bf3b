"""The rigged body fitted to the landmarks of a clip: one shape, and joint rotations and a camera for every frame.

Bone lengths of the whole clip give the shape, world landmarks the joint rotations in closed form
(`body.inverse_kinematics`), landmarks in the picture the camera. Then the frames of a window are refined together:
small turns of the controls and shifts of the camera bring the projected joints to the landmarks (robustly), stay near
the closed form and move smoothly. Memory grows by the rotations only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from mcld_anim.body.inverse_kinematics import inverse_kinematics
from mcld_anim.body.skeleton import CONTROLS, SHAPES, Skeleton, bone_rotations, pose_bones, pose_landmarks, skeleton
from mcld_anim.core.device import one_thread

FOCAL = 1.3
"""Focal length, in longer sides of the picture: a view of 42 degrees along it."""
NEAREST = 0.05
"""Distance from the camera, in metres, to which nearer points are moved."""
STATURE = 1.7
"""Height of the mean body in metres, for the size of residuals."""
LENGTHS = (
    *((11, 13), (13, 15), (12, 14), (14, 16), (23, 25), (25, 27), (24, 26), (26, 28)),
    *((11, 12), (23, 24), (11, 23), (12, 24), (7, 8)),
)
"""Pairs of landmarks whose distances give the shape: arms, legs, shoulders, hips, trunk, head."""
LENGTH_WEIGHTS = np.array([1.0] * 8 + [0.7, 0.5, 0.7, 0.7, 0.3])
LENGTH_ERROR = 0.04
"""Standard deviation of a bone's measured length, in logarithms."""
SEEN = 0.6
"""Visibility, 0..1, from which both ends of a bone count as seen."""

LANDMARK_WEIGHTS = np.ones(33)
"""Trust in each landmark's place in the picture: the face has many, hands and feet are small, hips have no mark."""
LANDMARK_WEIGHTS[[1, 3, 4, 6, 9, 10, *range(17, 23)]] = 0.4
LANDMARK_WEIGHTS[[23, 24]] = 0.6
LANDMARK_WEIGHTS[29:33] = 0.5
OUTSIDE = 0.15
"""Weight of a landmark outside the picture, which the network only guesses."""

SMOOTHING_2D, SMOOTHING_WORLD, SMOOTHING_DEPTH = 0.7, 1.0, 2.0
"""Standard deviations of the smoothing over time before the fit, in frames."""
STIFFNESS = {
    "root": 4,
    "spine": 25,
    "neck": 12,
    "clavicle": 60,
    "upperarm": 3,
    "lowerarm": 4,
    "hand": 25,
    "upperleg": 3,
    "lowerleg": 5,
    "foot": 20,
}
"""How firmly each control stays at its closed-form rotation."""
STEPS = 150
"""Steps of Adam (Kingma & Ba 2015)."""
MEMORY = 0.9
"""Adam's decay of gradients and of their squares: with the usual 0.999 for these, a fit takes twice the steps."""
WINDOW, OVERLAP = 128, 16
"""Frames that are refined together, and frames that two windows share."""


@dataclass(frozen=True, eq=False)
class ClipLandmarks:
    """Landmarks of one person over a clip; frames without the person hold a neighbour's and are not `found`."""

    xy: Float[np.ndarray, "frames 33 2"]  # pixels
    visibility: Float[np.ndarray, "frames 33"]  # 0..1
    world: Float[np.ndarray, "frames 33 3"]  # metres: right, away, up
    found: np.ndarray  # (frames,) bool
    size: tuple[int, int]  # height and width of the picture

    def part(self, frames: slice) -> ClipLandmarks:
        """Some of the frames."""
        return replace(
            self,
            xy=self.xy[frames],
            visibility=self.visibility[frames],
            world=self.world[frames],
            found=self.found[frames],
        )


@dataclass(frozen=True, eq=False)
class BodyShape:
    """The build of one person."""

    coefficients: Float[np.ndarray, " shapes"]  # standard deviations
    scale: float  # times the body's size


@dataclass(frozen=True, eq=False)
class BodyMotion:
    """The fitted body over a clip."""

    shape: BodyShape
    controls: Float[np.ndarray, "frames 17 3 3"]  # rotations of `CONTROLS`
    camera: Float[np.ndarray, "frames 3"]  # metres from the camera to the rest pose's origin: right, away, up
    focal: float  # pixels
    size: tuple[int, int]  # height and width of the picture
    fingers: Float[np.ndarray, "frames 2 5"] | None = None  # bends as of `RELAXED`, left and right; None: relaxed

    @property
    def heights(self) -> Float[np.ndarray, " frames"]:
        """Height of the standing person at their distance from the camera, in pixels."""
        return self.focal * STATURE * self.shape.scale / self.camera[:, 1]

    def at(self, index: int) -> BodyMotion:
        """One frame as a motion."""
        fingers = None if self.fingers is None else self.fingers[[index]]
        return replace(self, controls=self.controls[[index]], camera=self.camera[[index]], fingers=fingers)

    def scaled(self, scale: float) -> BodyMotion:
        """The same in a picture `scale` times as large, to whole pixels."""
        height, width = (max(1, round(side * scale)) for side in self.size)
        return replace(self, focal=self.focal * scale, size=(height, width))

    def landmarks(self) -> tuple[Float[np.ndarray, "frames 33 2"], Float[np.ndarray, "frames 33 3"]]:
        """Landmarks of the fitted body in the picture (pixels) and in space (metres)."""
        bones, shape = skeleton(), self.shape
        places = _posed_landmarks(
            torch.from_numpy(self.controls).float(),
            torch.from_numpy(bones.rest_joints(shape.coefficients, shape.scale)).float(),
            torch.from_numpy(bones.rest_landmarks(shape.coefficients, shape.scale)).float(),
            bones,
        )[0]
        camera = torch.from_numpy(self.camera).float()
        return project(places, camera, self.focal, self.size)[0].numpy(), places.numpy()


def fit_scenes(seen: ClipLandmarks, scenes: Sequence[slice], steps: int = STEPS) -> BodyMotion:
    """The body of a clip in which the person is found at least once; nothing is smoothed from one scene to the next."""
    shape, focal = fit_shape(seen), FOCAL * max(seen.size)
    controls = np.zeros((len(seen.xy), len(CONTROLS), 3, 3), np.float32)
    camera = np.zeros((len(seen.xy), 3), np.float32)
    for scene in scenes:
        for start in range(scene.start, max(scene.start + 1, scene.stop - OVERLAP), WINDOW - OVERLAP):
            window = slice(start, min(start + WINDOW, scene.stop))
            made = refine(closed_form(seen.part(window), shape, focal), seen.part(window), steps)
            kept = 0 if start == scene.start else OVERLAP // 2  # windows change in the middle of their overlap
            controls[start + kept : window.stop] = made.controls[kept:]
            camera[start + kept : window.stop] = made.camera[kept:]
    return BodyMotion(shape, controls, camera, focal, seen.size)


def fit_shape(seen: ClipLandmarks) -> BodyShape:
    """The shape whose bones are as long as the median of the clip's, by Gauss-Newton on their logarithms."""
    bones = skeleton()
    both = np.stack([np.minimum(seen.visibility[:, a], seen.visibility[:, b]) for a, b in LENGTHS], -1)
    measured, counted = _lengths(seen.world), (both > SEEN) & seen.found[:, None]
    known = counted.any(0)
    target = np.array([np.median(measured[counted[:, k], k]) if known[k] else 1.0 for k in range(len(LENGTHS))])
    weight = np.where(known, LENGTH_WEIGHTS, 0.0)
    if not known.any():
        return BodyShape(np.zeros(SHAPES), 1.0)
    shape, scale = np.zeros(SHAPES), 1.0
    for _ in range(6):
        now = np.log(_lengths(bones.rest_landmarks(shape, 1.0)))
        scale = float(weight @ (np.log(target) - now) / weight.sum())
        slopes = [(np.log(_lengths(bones.rest_landmarks(shape + 0.1 * e, 1.0))) - now) / 0.1 for e in np.eye(SHAPES)]
        jacobian, certainty = np.stack(slopes, 1), weight / LENGTH_ERROR**2
        gradient = jacobian.T @ (certainty * (np.log(target) - now - scale)) - shape
        shape = shape + 0.7 * np.linalg.solve(jacobian.T @ (jacobian * certainty[:, None]) + np.eye(SHAPES), gradient)
    return BodyShape(shape.clip(-2.5, 2.5), float(np.exp(scale)))


def closed_form(seen: ClipLandmarks, shape: BodyShape, focal: float) -> BodyMotion:
    """Rotations from the world landmarks, and the camera by linear least squares."""
    world = _smoothed(seen.world, seen.visibility, SMOOTHING_WORLD)
    rest = skeleton().rest_landmarks(shape.coefficients, shape.scale)
    controls = inverse_kinematics(world, rest).astype(np.float32)
    motion = BodyMotion(shape, controls, np.zeros((len(world), 3), np.float32), focal, seen.size)
    places = motion.landmarks()[1]
    camera = solve_camera(places, _smoothed(seen.xy, seen.visibility, SMOOTHING_2D), _weights(seen), focal, seen.size)
    depth = camera[:, 1].clip(0.6, 60)
    camera[:, 1] = depth if len(depth) < 3 else gaussian_filter1d(depth, SMOOTHING_DEPTH, mode="nearest")
    return replace(motion, camera=camera.astype(np.float32))


def solve_camera(
    places: Float[np.ndarray, "frames points 3"],
    xy: Float[np.ndarray, "frames points 2"],
    weight: Float[np.ndarray, "frames points"],
    focal: float,
    size: tuple[int, int],
) -> Float[np.ndarray, "frames 3"]:
    """Translations T with u = f (X + Tx) / (Y + Ty), v = -f (Z + Tz) / (Y + Ty), u and v from the picture's middle."""
    u, v = xy[..., 0] - size[1] / 2, xy[..., 1] - size[0] / 2
    zero = np.zeros_like(u)
    rows = np.concatenate([np.stack([zero + focal, -u, zero], -1), np.stack([zero, -v, zero - focal], -1)], 1)
    right = np.concatenate(
        [u * places[..., 1] - focal * places[..., 0], v * places[..., 1] + focal * places[..., 2]], 1
    )
    weighted = np.swapaxes(rows * np.concatenate([weight, weight], 1)[..., None], -1, -2)
    return np.linalg.solve(weighted @ rows + 1e-6 * np.eye(3), weighted @ right[..., None])[..., 0]


def project(
    places: Float[Tensor, "frames points 3"], camera: Float[Tensor, "frames 3"], focal: float, size: tuple[int, int]
) -> tuple[Float[Tensor, "frames points 2"], Float[Tensor, "frames points"]]:
    """Pixels and distances (metres) of points in space."""
    moved = places + camera[:, None]
    away = moved[..., 1].clamp(min=NEAREST)
    x = size[1] / 2 + focal * moved[..., 0] / away
    return torch.stack([x, size[0] / 2 - focal * moved[..., 2] / away], -1), away


@one_thread()
def refine(motion: BodyMotion, seen: ClipLandmarks, steps: int) -> BodyMotion:
    """All frames of a window together, by Adam; the shape stays."""
    if steps == 0:
        return motion
    bones, shape = skeleton(), motion.shape
    joints = torch.from_numpy(bones.rest_joints(shape.coefficients, shape.scale)).float()
    landmarks = torch.from_numpy(bones.rest_landmarks(shape.coefficients, shape.scale)).float()
    start, camera = torch.from_numpy(motion.controls), torch.from_numpy(motion.camera).clone().requires_grad_()
    turns = torch.zeros(len(start), len(CONTROLS), 3, requires_grad=True)
    pixels = motion.focal * STATURE * shape.scale / float(camera.detach()[:, 1].median())  # of the person's height
    target = _Target(seen, pixels)
    learned = [_Adam(turns, 0.02), _Adam(camera, 0.01)]
    for step in range(steps):
        places, turned = _posed_landmarks(start @ rotation_matrices(turns), joints, landmarks, bones)
        loss = target.distance(places, project(places, camera, motion.focal, seen.size)[0])
        loss = (
            loss + 0.05 * (target.stiffness[:, None] * turns**2).sum((1, 2)).mean() + _roughness(places, turned, camera)
        )
        loss.backward()
        for one in learned:
            one.step(1.0 if step < int(0.7 * steps) else 0.3)
    with torch.no_grad():
        controls = (start @ rotation_matrices(turns)).numpy()
    return replace(motion, controls=controls, camera=camera.detach().numpy())


class _Adam:
    """Adam for one tensor. `torch.optim` imports its compiler for the first optimizer, which takes seconds."""

    def __init__(self, learned: Tensor, rate: float) -> None:
        self._learned, self._rate, self._steps = learned, rate, 0
        self._mean, self._square = torch.zeros_like(learned), torch.zeros_like(learned)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One step by the gradient, which is then gone; `rate` is a factor of the learning rate."""
        gradient, self._learned.grad = self._learned.grad, None
        assert gradient is not None
        self._steps += 1
        self._mean.lerp_(gradient, 1 - MEMORY)
        self._square.mul_(MEMORY).addcmul_(gradient, gradient, value=1 - MEMORY)
        unbiased = 1 - MEMORY**self._steps
        spread = (self._square.sqrt() / unbiased**0.5).add_(1e-8)
        self._learned.addcdiv_(self._mean, spread, value=-rate * self._rate / unbiased)


def rotation_matrices(vectors: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Rotations by their axis times angle (Rodrigues), differentiable at 0."""
    square = (vectors**2).sum(-1)[..., None, None]
    angle = (square + 1e-12).sqrt()
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.eye(3) + torch.sin(angle) / angle * cross + (1 - torch.cos(angle)) / (square + 1e-12) * (cross @ cross)


class _Target:
    """What the refined landmarks shall agree with."""

    def __init__(self, seen: ClipLandmarks, pixels: float) -> None:
        self.pixels = pixels
        self.xy = torch.from_numpy(_smoothed(seen.xy, seen.visibility, SMOOTHING_2D)).float()
        self.world = torch.from_numpy(_smoothed(seen.world, seen.visibility, SMOOTHING_WORLD)).float()
        self.weight = torch.from_numpy(_weights(seen) * seen.visibility * seen.found[:, None]).float()
        self.stiffness = torch.tensor([float(STIFFNESS[name.partition(".")[0]]) for name in CONTROLS])

    def distance(self, places: Tensor, xy: Tensor) -> Tensor:
        """Robust distances in the picture (of the person's height) and in space (metres from the hips)."""
        flat = _robust((((xy - self.xy) / self.pixels) ** 2).sum(-1), 0.06)
        hips = (places[:, 23:24] + places[:, 24:25]) / 2
        apart = places - hips - self.world
        depth, across = _robust(apart[..., 1] ** 2, 0.2), _robust((apart[..., ::2] ** 2).sum(-1), 0.2)
        return ((400 * flat + 5 * depth + 2 * across) * self.weight).sum(-1).mean()


def _roughness(places: Tensor, turned: Tensor, camera: Tensor) -> Tensor:
    """Accelerations of landmarks and camera, and changes of rotations, from frame to frame."""
    if len(places) < 3:
        return places.new_zeros(())
    bend = ((places[2:] - 2 * places[1:-1] + places[:-2]) ** 2).sum((1, 2)).mean()
    turn = ((turned[1:] - turned[:-1]) ** 2).sum((1, 2, 3)).mean()
    sway = ((camera[2:] - 2 * camera[1:-1] + camera[:-2]) ** 2).sum(-1).mean()
    return 40 * bend + 0.15 * turn + 20 * sway + 2 * ((camera[1:, 1] - camera[:-1, 1]) ** 2).mean()


def _posed_landmarks(controls: Tensor, joints: Tensor, landmarks: Tensor, bones: Skeleton) -> tuple[Tensor, Tensor]:
    """Landmarks in space and the bones' world rotations."""
    turned, shift = pose_bones(bone_rotations(controls, bones), joints, bones)
    return pose_landmarks(turned, shift, landmarks, bones), turned


def _weights(seen: ClipLandmarks) -> Float[np.ndarray, "frames 33"]:
    """Trust in each landmark's place in the picture."""
    height, width = seen.size
    inside = (np.abs(seen.xy / [width, height] - 0.5) < 0.52).all(-1)
    return seen.visibility * LANDMARK_WEIGHTS * np.where(inside, 1, OUTSIDE) + 1e-4


def _lengths(landmarks: np.ndarray) -> np.ndarray:
    """(..., 13) distances of the pairs in `LENGTHS`."""
    first, second = np.array(LENGTHS).T
    return np.linalg.norm(landmarks[..., first, :] - landmarks[..., second, :], axis=-1)


def _smoothed(values: np.ndarray, visibility: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian over time that weighs frames by visibility."""
    if len(values) < 3:
        return np.asarray(values, np.float64)
    weight = visibility[..., None] + 1e-3
    total = gaussian_filter1d(values * weight, sigma, axis=0, mode="nearest")
    return np.asarray(total / gaussian_filter1d(weight, sigma, axis=0, mode="nearest"))


def _robust(square: Tensor, size: float) -> Tensor:
    """Geman and McClure's function of a squared residual: beyond `size` it hardly grows."""
    return square / (1 + square / size**2)
