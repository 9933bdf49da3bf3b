"""Backgrounds without people: procedural scenes, and crops of photographs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from mcld_anim.core.arrays import AnySizePicture, Picture
from mcld_anim.core.errors import InputError
from mcld_anim.core.photo_formats import is_photo
from mcld_anim.core.pictures import read_picture

Floats = NDArray[np.float32]
SCENE_SIZE = 384
"""Side of a background, pixels; each sample shows a crop of it."""
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
"""A file with such a name must be a picture; one with another name is a picture if its content is."""


def photo_backgrounds(folder: Path, count: int, seed: int) -> list[Picture]:
    """`count` square crops (384, 384, 3) of the pictures in `folder` and below, from details to nearly whole ones.

    The pictures must not show people. All of them give about the same number of crops.
    """
    files = (path for path in folder.rglob("*") if path.is_file())
    paths = sorted(path for path in files if path.suffix.lower() in PICTURE_SUFFIXES or is_photo(path))
    if not paths:
        raise InputError(f"--backgrounds {folder} holds no picture: give a folder of photos without people")
    rng = np.random.default_rng(seed)
    shares = np.array_split(np.arange(count), len(paths))
    crops = []
    for path, share in zip(rng.permutation(np.array(paths, object)), shares, strict=True):
        if not len(share):
            continue
        picture = read_picture(path, "--backgrounds")
        for _ in share:
            side = max(16, int(min(picture.shape[:2]) * rng.uniform(0.2, 1.0)))
            top, left = (int(rng.integers(0, length - side + 1)) for length in picture.shape[:2])
            crop = picture[top : top + side, left : left + side]
            crop = cv2.resize(crop, (SCENE_SIZE, SCENE_SIZE), interpolation=cv2.INTER_AREA)
            crops.append(np.asarray(crop, np.uint8))
    return crops


def make_backgrounds(count: int, seed: int) -> list[Picture]:
    """`count` procedural scenes (384, 384, 3): gradients, walls and floors, clutter, smooth noise, stripes."""
    rng = np.random.default_rng(seed)
    kinds = (_gradient, _room, _leaves, _clutter, _noise, _leaves, _stripes)
    return [kinds[k % len(kinds)](rng, SCENE_SIZE) for k in range(count)]


def random_crop(
    pictures: list[AnySizePicture], rng: np.random.Generator, side: int
) -> UInt8[np.ndarray, "{side} {side} 3"]:
    """A random square crop (side, side, 3) of one of `pictures`, which are at least as large."""
    chosen = pictures[int(rng.integers(len(pictures)))]
    top, left = rng.integers(0, np.array(chosen.shape[:2]) - side + 1)
    return chosen[top : top + side, left : left + side]


def random_colour(rng: np.random.Generator) -> Floats:
    base = rng.uniform(0, 255)
    return np.clip(base + rng.normal(0, rng.choice([8, 50]), 3), 0, 255).astype(np.float32)


def _gradient(rng: np.random.Generator, size: int) -> Picture:
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    ramp = np.clip(0.5 + 0.5 * (x * np.cos(angle) + y * np.sin(angle)), 0, 1).astype(np.float32)[..., None]
    return (random_colour(rng) * ramp + random_colour(rng) * (1 - ramp)).astype(np.uint8)


def _room(rng: np.random.Generator, size: int) -> Picture:
    """A wall and a floor, some frames and furniture, softly lit."""
    scene = np.empty((size, size, 3), np.float32)
    floor = int(rng.uniform(0.55, 0.9) * size)
    scene[:floor], scene[floor:] = random_colour(rng), random_colour(rng)
    for _ in range(int(rng.integers(2, 9))):
        x, y = rng.integers(0, size, 2)
        width, height = rng.integers(15, size // 2, 2)
        cv2.rectangle(scene, (int(x), int(y)), (int(x + width), int(y + height)), random_colour(rng).tolist(), -1)
    light = _noise(rng, size).astype(np.float32).mean(2, keepdims=True) / 255
    return np.clip(cv2.GaussianBlur(scene, (0, 0), rng.uniform(0.5, 3)) * (0.7 + 0.6 * light), 0, 255).astype(np.uint8)


def _clutter(rng: np.random.Generator, size: int) -> Picture:
    """Many shapes, including limb-like strokes and blobs in skin and clothing colours."""
    scene = _gradient(rng, size).astype(np.float32)
    skin = np.array([[224, 172, 140], [141, 85, 60], [90, 56, 40], [250, 214, 190]], np.float32)
    for _ in range(int(rng.integers(15, 60))):
        colour = (skin[rng.integers(4)] if rng.random() < 0.2 else random_colour(rng)).tolist()
        x, y, x2, y2 = (int(v) for v in rng.integers(0, size, 4))
        shape = rng.integers(4)
        if shape == 0:
            axes = tuple(int(v) for v in rng.integers(4, 70, 2))
            cv2.ellipse(scene, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
        elif shape == 1:
            cv2.line(scene, (x, y), (x2, y2), colour, int(rng.integers(1, 30)), cv2.LINE_AA)
        elif shape == 2:
            points = (np.array([x, y]) + rng.normal(0, 45, (int(rng.integers(3, 7)), 2))).astype(np.int32)
            cv2.fillPoly(scene, [points], colour, cv2.LINE_AA)
        else:
            cv2.rectangle(scene, (x, y), (x + (x2 - x) // 4, y + (y2 - y) // 4), colour, -1)
    if rng.random() < 0.6:
        scene = blurred(scene, rng.uniform(0.5, 4))
    return np.clip(scene, 0, 255).astype(np.uint8)


def _leaves(rng: np.random.Generator, size: int) -> Picture:
    """Dead-leaves model: overlapping discs and boxes, many small and few large, each with its own shading and texture.

    Its edges and statistics are close to those of photographs (Lee, Mumford, Huang 2001).
    """
    scene = _noise(rng, size).astype(np.float32)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    texture = smooth_noise(rng, size, 9)[..., None]
    for radius in np.sort(size * 0.02 * rng.pareto(1.3, 90) + 5)[::-1].clip(max=size / 3):
        centre, angle = rng.uniform(0, size, 2), rng.uniform(0, np.pi)
        along = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
        across = (y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)
        across *= rng.uniform(1, 3)
        inside = (
            np.maximum(abs(along), abs(across)) < radius if rng.random() < 0.5 else along**2 + across**2 < radius**2
        )
        shade = 1 + np.float32(rng.uniform(-0.4, 0.4)) * along[inside, None] / np.float32(radius)
        rough = np.float32(rng.choice([0, 10, 30])) * texture[inside]
        scene[inside] = random_colour(rng) * shade + rough
    scene = blurred(scene, rng.uniform(0.4, 2.5))
    return np.clip(scene, 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, size: int) -> Picture:
    """Smooth noise of several octaves between two colours."""
    mix = (1 / (1 + np.exp(-2 * smooth_noise(rng, size, 8))))[..., None]
    return np.clip(random_colour(rng) * mix + random_colour(rng) * (1 - mix), 0, 255).astype(np.uint8)


def smooth_noise(rng: np.random.Generator, size: int, count: int) -> Floats:
    """Smooth zero-mean noise (size, size), the sum of octaves 1 to `count` - 1."""
    total = np.zeros((size, size), np.float32)
    for octave in range(1, count):
        grid = rng.standard_normal((2**octave, 2**octave)).astype(np.float32)
        smooth = np.asarray(cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
        total += smooth / np.float32(2 ** (octave * rng.uniform(0.3, 1)))
    return total


def _stripes(rng: np.random.Generator, size: int) -> Picture:
    """A periodic pattern: stripes, checks or tiles."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 60)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    first = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
    second = np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period)
    wave = (first, first * second, np.maximum(np.abs(first), np.abs(second)) - 0.95)[int(rng.integers(3))]
    mix = (1 / (1 + np.exp(-8 * wave)))[..., None].astype(np.float32)
    return np.clip(random_colour(rng) * mix + random_colour(rng) * (1 - mix), 0, 255).astype(np.uint8)


def blurred(picture: Floats, deviation: float) -> Floats:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), deviation), np.float32)
