"""The rigged body in known poses, and the landmarks that a perfect network would see of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import FOCAL, BodyMotion, BodyShape, ClipLandmarks, project
from mcld_anim.body.skeleton import CONTROLS, SHAPES, bone_rotations, pose_bones, pose_landmarks, skeleton

SIZE = (480, 360)
MEAN = np.zeros(SHAPES)


def turned(vectors: Mapping[str, Any], frames: int = 1) -> np.ndarray:
    """Controls (frames, 17, 3, 3) from rotation vectors (3,) or (frames, 3) by name; the others do not turn."""
    every = np.zeros((frames, len(CONTROLS), 3))
    for name, vector in vectors.items():
        every[:, CONTROLS.index(name)] = vector
    return Rotation.from_rotvec(every.reshape(-1, 3)).as_matrix().reshape(frames, len(CONTROLS), 3, 3)


def landmarks_of(controls: np.ndarray, shape: np.ndarray = MEAN, scale: float = 1.0) -> np.ndarray:
    """Landmarks (frames, 33, 3) of the posed body, in float64."""
    bones = skeleton()
    joints, places = (torch.from_numpy(rest(shape, scale)) for rest in (bones.rest_joints, bones.rest_landmarks))
    posed = pose_bones(bone_rotations(torch.from_numpy(controls), bones), joints.double(), bones)
    return pose_landmarks(*posed, places.double(), bones).numpy()


def from_hips(places: np.ndarray) -> np.ndarray:
    """Landmarks seen from the middle of the hips, as the network gives them."""
    return places - (places[:, 23:24] + places[:, 24:25]) / 2


def exact_clip(controls: np.ndarray, camera: np.ndarray, scale: float = 1.0) -> ClipLandmarks:
    """What a perfect network sees of the mean body, `scale` times as large, from `camera` (3,) or (frames, 3)."""
    places = landmarks_of(controls, scale=scale)
    away = torch.from_numpy(np.array(np.broadcast_to(camera, (len(places), 3)), np.float64))
    xy = project(torch.from_numpy(places), away, FOCAL * max(SIZE), SIZE)[0].numpy()
    found = np.ones(len(places), bool)
    return ClipLandmarks(xy, np.ones(xy.shape[:2]), from_hips(places), found, SIZE)


def swaying(frames: int, seed: int = 3) -> np.ndarray:
    """A smooth motion of every control at 25 frames a second."""
    generator, seconds = np.random.default_rng(seed), np.arange(frames)[:, None] / 25
    most = {"root": 0.2, "spine": 0.05, "neck": 0.15, "clavicle": 0.0, "hand": 0.2, "foot": 0.1}
    vectors = {}
    for name in CONTROLS:
        phase = 2 * np.pi * (generator.uniform(0.2, 0.6, 3) * seconds + generator.random(3))
        vectors[name] = most.get(name.partition(".")[0], 0.4) * np.sin(phase)
    return turned(vectors, frames)


@pytest.fixture(scope="session")
def controls() -> Callable[..., np.ndarray]:
    return turned


@pytest.fixture(scope="session")
def standing() -> BodyMotion:
    """The mean body at rest in one frame of 180 x 240 pixels, 3.2 m away."""
    size, camera = (240, 180), np.array([[0.0, 3.2, 0.0]], np.float32)
    return BodyMotion(BodyShape(MEAN, 1.0), turned({}).astype(np.float32), camera, FOCAL * max(size), size)


@pytest.fixture(scope="session")
def painter(standing: BodyMotion) -> BodyPainter:
    return BodyPainter(standing.shape)


@pytest.fixture(scope="session")
def landmarks() -> Callable[..., np.ndarray]:
    return landmarks_of


@pytest.fixture(scope="session")
def perfect_clip() -> Callable[..., ClipLandmarks]:
    return exact_clip


@pytest.fixture(scope="session")
def motion() -> Callable[..., np.ndarray]:
    return swaying


@pytest.fixture(scope="session")
def seen_from_hips() -> Callable[[np.ndarray], np.ndarray]:
    return from_hips
