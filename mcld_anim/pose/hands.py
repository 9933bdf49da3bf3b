"""How far fingers are bent: MediaPipe's hand landmarks (Zhang et al. 2020, arXiv 2006.10214) around BlazePose's wrists.

Each finger is one number, the mean bend of its joints, which turns every joint of the rigged body's finger alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from mcld_anim.body.skeleton import RELAXED
from mcld_anim.core.arrays import Picture
from mcld_anim.pose.tflite import TfliteNetwork

CROP_SIDE = 224
"""Side of the network's square input, in pixels."""
WRISTS, LITTLE, INDEX = (15, 16), (17, 18), (19, 20)
"""BlazePose's landmarks of the left and right wrist, and of the first joints of little and index finger."""
MIDDLE_OF_HAND, SIDE_OF_HAND = 1.15, 3.0
"""Where the crop's middle lies from the wrist, and its side, in distances from there to the middle of the knuckles."""
LEAST_SIDE = 40.0
"""Side of the crop in the picture, in pixels, from which fingers can be seen: a hand is about half of it."""
LEAST_VISIBILITY, LEAST_PRESENCE = 0.6, 0.6
"""Visibility of a wrist, and presence of a hand in the crop, from which the fingers count."""
CHAINS = ((1, 2, 3, 4), (0, 5, 6, 7, 8), (0, 9, 10, 11, 12), (0, 13, 14, 15, 16), (0, 17, 18, 19, 20))
"""The hand's landmarks along thumb, index, middle, ring and little finger; 0 is the wrist."""
STRAIGHT, MOST = 0.2, 1.5
"""Bend of a straight finger's landmarks, which is taken off, and the largest bend of a joint, in radians."""
SMOOTHING, DOUBT = 3.0, 0.02
"""Standard deviation of the smoothing over time, in frames, and the weight of relaxed fingers against what is seen."""

Bends = Float[np.ndarray, "2 5"]
"""Mean bend of the joints of the left and right hand's fingers, from the thumb, in radians; NaN where not seen."""


class HandLandmarks:
    """The network."""

    def __init__(self, folder: Path, threads: int = 2) -> None:
        """`folder` holds hand_landmark_full.tflite."""
        self._network = TfliteNetwork(folder / "hand_landmark_full.tflite", threads)

    def bends(self, picture: Picture, xy: Float[np.ndarray, "33 2"], visibility: Float[np.ndarray, " 33"]) -> Bends:
        """Of a person in a picture whose landmarks are known."""
        found = np.full((2, 5), np.nan, np.float32)
        for hand, (wrist, little, index) in enumerate(zip(WRISTS, LITTLE, INDEX, strict=True)):
            reach = (xy[little] + xy[index]) / 2 - xy[wrist]
            side = SIDE_OF_HAND * float(np.hypot(*reach))
            centre = xy[wrist] + MIDDLE_OF_HAND * reach
            inside = ((centre >= 0) & (centre < [picture.shape[1], picture.shape[0]])).all()
            if inside and side >= LEAST_SIDE and visibility[wrist] >= LEAST_VISIBILITY:
                angle = math.atan2(reach[1], reach[0]) + math.pi / 2
                _, presence, _, world = self._network(_cropped(picture, centre, side, angle))
                if presence.item() >= LEAST_PRESENCE:
                    found[hand] = finger_bends(world.reshape(21, 3))
        return found


def finger_bends(points: Float[np.ndarray, "21 3"]) -> Float[np.ndarray, " 5"]:
    """Mean bend of the joints of thumb, index, middle, ring and little finger, in radians, from 0 (straight)."""
    found = []
    for chain in CHAINS:
        bones = np.diff(points[list(chain)], axis=0)
        bones /= np.linalg.norm(bones, axis=1, keepdims=True) + 1e-9
        turns = np.arccos((bones[:-1] * bones[1:]).sum(1).clip(-1, 1))
        found.append(float(turns.mean()) - STRAIGHT)
    return np.clip(found, 0, MOST).astype(np.float32)


def steady_fingers(seen: Float[np.ndarray, "frames 2 5"], scenes: Sequence[slice]) -> Float[np.ndarray, "frames 2 5"]:
    """Bends in every frame, smooth in time inside each scene; relaxed where no frame nearby shows them (NaN)."""
    known = np.isfinite(seen)
    made = np.empty(seen.shape, np.float32)
    relaxed = np.array(RELAXED, np.float32)
    for scene in scenes:
        weight = gaussian_filter1d(known[scene].astype(np.float64), SMOOTHING, axis=0, mode="constant")
        total = gaussian_filter1d(
            np.where(known, seen, 0)[scene].astype(np.float64), SMOOTHING, axis=0, mode="constant"
        )
        made[scene] = (total + DOUBT * relaxed) / (weight + DOUBT)
    return made


def _cropped(picture: Picture, centre: np.ndarray, side: float, angle: float) -> Float[np.ndarray, "224 224 3"]:
    """The hand with its fingers up, 0..1."""
    scale, c, s = CROP_SIDE / side, math.cos(angle), math.sin(angle)
    turn = scale * np.array([[c, s], [-s, c]])
    matrix = np.concatenate([turn, (CROP_SIDE / 2 - turn @ centre)[:, None]], 1)
    return cv2.warpAffine(picture, matrix, (CROP_SIDE, CROP_SIDE), flags=cv2.INTER_LINEAR).astype(np.float32) / 255
