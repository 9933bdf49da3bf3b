"""Augmentation of rendered people for DensePose training: placement, background, light, blur, noise.

Picture and labels get the same warp to 256x256; labels are sampled by nearest neighbour.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mcld_anim.core.arrays import HEAD_PARTS, AnySizePicture, Iuv, Picture
from mcld_anim.pose.tiny_network import INPUT_SIZE
from mcld_anim.synthetic.backdrops import Floats, blurred, random_colour, random_crop, smooth_noise
from mcld_anim.train.clothes import dressed


@dataclass(frozen=True)
class BodyAugmentOptions:
    """Strength of the augmentation. Fractions are of all samples; angles are in degrees, lengths in frame sides."""

    replaced_background: float = 0.6
    """Fraction with a replaced background."""
    small: float = 0.2
    """Fraction with a distant person (0.2 to 0.7 of the rendered size)."""
    close: float = 0.2
    """Fraction that show the upper half of the body or less (1.2 to 2.2 of the rendered size)."""
    rotation: float = 8.0
    """Standard deviation of the rotation, degrees."""
    shift: float = 0.1
    """Largest shift from the frame's centre, frame sides, for people of about the rendered size."""
    empty: float = 0.08
    """Fraction without a person."""
    companion: float = 0.15
    """Fraction with a second person behind the first, also labelled."""
    hidden: float = 0.25
    """Fraction with occluders in front of the person; what they hide is labelled as background."""
    backlight: float = 0.15
    """Fraction with a person darker than the scene behind (0.3 to 0.75 of its brightness)."""
    stained: float = 0.4
    """Fraction whose skin and clothes get other colours and a pattern that the renderer never draws."""
    dressed: float = 0.35
    """Fraction with other clothes on torso and arms (`train.clothes`)."""


@dataclass(frozen=True)
class View:
    """A rendered person: picture, labels, and the silhouette that moves to another background."""

    picture: Picture
    iuv: Iuv
    seen: NDArray[np.bool_]  # (H, W): the person including skirt and loose hair


@dataclass(frozen=True)
class _Layer:
    """A person placed in the frame."""

    colours: Floats  # (256, 256, 3), 0..255
    alpha: Floats  # (256, 256, 1)
    labels: Iuv  # (256, 256, 3)


def augment(
    view: View,
    rng: np.random.Generator,
    options: BodyAugmentOptions,
    backgrounds: list[AnySizePicture],
    companion: View | None = None,
) -> tuple[Picture, Iuv]:
    """An augmented picture (256, 256, 3) and its labels (256, 256, 3), order I, U, V; `companion` stands behind."""
    matrix, scale = placement(view.iuv[..., 0], rng, options)
    person = _layer(view, matrix, scale, rng, options, backgrounds)
    replaced = scale < 0.85 or companion is not None or rng.random() < options.replaced_background
    if rng.random() < options.empty:
        scene, labels = _background(backgrounds, rng).astype(np.float32), np.zeros_like(person.labels)
    elif replaced:
        scene, labels = _background(backgrounds, rng).astype(np.float32), np.zeros_like(person.labels)
        if companion is not None:
            scene, labels = _over(
                scene, labels, _layer(companion, *_beside(companion, rng, options), rng, options, backgrounds)
            )
        scene, labels = _over(scene, labels, person)
    else:
        scene, labels = person.colours, person.labels
    if rng.random() < options.hidden:
        occluder = _background(backgrounds, rng) if rng.random() < 0.5 else random_colour(rng)
        scene, labels = _occlude(scene, labels, occluder, rng)
    return _camera(scene, rng), labels


def _layer(
    view: View,
    matrix: NDArray[np.float64],
    scale: float,
    rng: np.random.Generator,
    options: BodyAugmentOptions,
    backgrounds: list[AnySizePicture],
) -> _Layer:
    """The view warped by `matrix`; only the person's colours may change."""
    size = (INPUT_SIZE, INPUT_SIZE)
    source = cv2.GaussianBlur(view.picture, (0, 0), 0.45 / scale) if scale < 0.7 else view.picture
    colours = cv2.warpAffine(source, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    silhouette = cv2.GaussianBlur(view.seen.astype(np.float32), (3, 3), 0)
    alpha = np.asarray(cv2.warpAffine(silhouette, matrix, size), np.float32)[..., None]
    labels = cv2.warpAffine(view.iuv, matrix, size, flags=cv2.INTER_NEAREST)
    values = colours.astype(np.float32)
    if rng.random() < options.dressed:
        values = dressed(values, np.asarray(labels, np.uint8), rng, backgrounds)
    if rng.random() < options.stained:
        values += alpha * (_recoloured(values, rng) - values)
    if rng.random() < options.backlight:
        values *= 1 - alpha * np.float32(rng.uniform(0.25, 0.7))
    return _Layer(values, alpha, np.asarray(labels, np.uint8))


def _over(scene: Floats, labels: Iuv, layer: _Layer) -> tuple[Floats, Iuv]:
    """`layer` composited over the scene. Skirt and hair also hide what is behind them, although they have no label."""
    kept = np.where(layer.alpha > 0.5, np.uint8(0), labels)
    return scene + layer.alpha * (layer.colours - scene), np.where(layer.labels[..., :1] > 0, layer.labels, kept)


def _beside(view: View, rng: np.random.Generator, options: BodyAugmentOptions) -> tuple[NDArray[np.float64], float]:
    """Placement of a companion: to the left or right, not closer than the first person."""
    matrix, scale = placement(view.iuv[..., 0], rng, dataclasses.replace(options, small=1.0))
    matrix[0, 2] += rng.choice([-1, 1]) * rng.uniform(0.1, 0.4) * INPUT_SIZE
    return matrix, scale


def _recoloured(values: Floats, rng: np.random.Generator) -> Floats:
    """Colours (H, W, 3) with mixed channels, multiplied by smooth noise."""
    mixed = values @ (np.eye(3) + rng.normal(0, 0.18, (3, 3))).astype(np.float32)
    pattern = smooth_noise(rng, len(values), int(rng.integers(3, 8)))
    return np.clip(mixed * np.exp(np.float32(rng.uniform(0.1, 0.5)) * pattern[..., None]), 0, 255)


def _occlude(scene: Floats, labels: Iuv, occluder: Floats | Picture, rng: np.random.Generator) -> tuple[Floats, Iuv]:
    """Bars, boxes and blobs in front of everything, filled with `occluder`: a colour (3,) or picture (256, 256, 3)."""
    mask = np.zeros(scene.shape[:2], np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        x, y, x2, y2 = (int(v) for v in rng.integers(0, INPUT_SIZE, 4))
        shape = rng.integers(3)
        if shape == 0:
            cv2.line(mask, (x, y), (x2, y2), 1, int(rng.integers(2, 16)))
        elif shape == 1:
            cv2.rectangle(mask, (x, y), (x + int(rng.integers(8, 70)), y + int(rng.integers(8, 70))), 1, -1)
        else:
            cv2.ellipse(mask, (x, y), (int(rng.integers(5, 35)), int(rng.integers(5, 35))), 0, 0, 360, 1, -1)
    hides = mask[..., None] > 0
    return np.where(hides, np.float32(occluder), scene), np.where(hides, np.uint8(0), labels)


def placement(
    parts: NDArray[np.uint8], rng: np.random.Generator, options: BodyAugmentOptions
) -> tuple[NDArray[np.float64], float]:
    """The affine map (2, 3) from rendered to augmented pixels, and its scale."""
    kind = rng.random()
    if kind < options.small:
        scale, shift, parts_seen = rng.uniform(0.2, 0.7), 0.3, parts > 0
    elif kind < options.small + options.close:
        scale, shift = rng.uniform(1.2, 2.2), 0.12
        parts_seen = np.isin(parts, (1, 2, *HEAD_PARTS)) if rng.random() < 0.7 else parts > 0
    else:
        scale, shift, parts_seen = rng.uniform(0.7, 1.2), options.shift, parts > 0
    rows, columns = np.nonzero(parts_seen if parts_seen.any() else np.ones_like(parts_seen))
    middle = float(columns.min() + columns.max()) / 2, float(rows.min() + rows.max()) / 2
    matrix = np.asarray(cv2.getRotationMatrix2D(middle, float(rng.normal(0, options.rotation)), scale), np.float64)
    matrix[:, 2] += INPUT_SIZE / 2 - np.array(middle) + rng.uniform(-shift, shift, 2) * INPUT_SIZE
    return matrix, float(scale)


def _camera(values: Floats, rng: np.random.Generator) -> Picture:
    """Light, white balance, contrast, blur, noise, JPEG artefacts; `values` (256, 256, 3) in 0..255."""
    if rng.random() < 0.8:
        gain = rng.uniform(0.65, 1.3) * rng.uniform(0.88, 1.12, 3)
        grey = values.mean()
        values = (values - grey) * np.float32(rng.uniform(0.7, 1.25)) + grey
        values = values * gain.astype(np.float32) + np.float32(rng.uniform(-20, 20))
    if rng.random() < 0.25:
        values = blurred(values, rng.uniform(0.4, 1.6))
    if rng.random() < 0.5:
        values += rng.standard_normal(values.shape, np.float32) * np.float32(rng.uniform(1, 12))
    result = np.clip(values, 0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        _, packed = cv2.imencode(".jpg", result, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))])
        result = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return result


def _background(backgrounds: list[AnySizePicture], rng: np.random.Generator) -> Picture:
    """One of the prepared backgrounds, cropped, mirrored, with permuted channels; or one plain colour."""
    if rng.random() < 0.15:
        return np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), (INPUT_SIZE, INPUT_SIZE, 3))
    crop = random_crop(backgrounds, rng, INPUT_SIZE)
    crop = crop[:, ::-1] if rng.random() < 0.5 else crop
    return crop[..., rng.permutation(3)]
