"""The matte against rendered truth: better than the bare IUV, soft at the edge, and steady."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mcld_anim.background.matte import SteadyMatte, composite, foreground, person_alpha, photo_alpha
from mcld_anim.body.clip import ClipFrame, FramePose, clip_frames
from mcld_anim.body.correspondence import carried, correspond, surface_motion
from mcld_anim.synthetic.dance import dance_pose
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import Light, View, draw_background

SIZE = 192
DRESSED, LONG_HAIRED = 900_002, 900_000  # one wears a wide dress, one long hair: both reach far beyond the IUV


def scene(seed: int, seconds: float = 0.1) -> tuple[Rendering, np.ndarray]:
    """A person in front of a wall with a floor, and the true matte, from renderings on black and on white."""
    person, wall = Person.from_seed(seed), draw_background(np.random.default_rng(seed), SIZE, "floor")
    shots = [render(person, dance_pose(seconds), View(zoom=0.8), Light(), b, SIZE) for b in (wall, wall * 0, wall**0)]
    return shots[0], 1 - (shots[2].picture.astype(float) - shots[1].picture).mean(-1) / 255


def error(alpha: np.ndarray, truth: np.ndarray) -> float:
    """Mean error over the person's area."""
    return float(np.abs(alpha - truth).sum() / truth.sum())


@pytest.mark.parametrize("seed", [DRESSED, LONG_HAIRED])
def test_hair_and_clothes_are_found(seed: int) -> None:
    shown, truth = scene(seed)
    alpha = person_alpha(shown.picture, shown.iuv)
    bare = (shown.iuv[..., 0] > 0).astype(float)
    assert error(alpha, truth) < 0.05
    assert error(alpha, truth) < 0.7 * error(bare, truth)
    edge = (truth > 0.2) & (truth < 0.8)
    assert np.abs(alpha[edge] - truth[edge]).mean() < 0.3  # a hard mask is off by about 0.5 ...
    assert ((alpha > 0.05) & (alpha < 0.95)).sum() > 0.3 * edge.sum()  # ... and has no such pixels


@pytest.mark.parametrize("seed", [DRESSED, LONG_HAIRED])
def test_a_rough_matte_of_a_photo_becomes_a_sharp_one(seed: int) -> None:
    shown, truth = scene(seed)
    rough = np.rint(cv2.GaussianBlur(truth, (0, 0), 2.5) * 255).astype(np.uint8)
    alpha = photo_alpha(shown.picture, rough, 0.8 * SIZE)
    assert alpha.dtype == np.float32
    assert error(alpha, truth) < 0.6 * error(rough / 255, truth)
    far = cv2.dilate((rough > 50).astype(np.uint8), np.ones((9, 9))) == 0
    assert not alpha[far].any()  # nothing is added far from what the estimator saw
    assert alpha[cv2.erode((truth > 0.99).astype(np.uint8), np.ones((7, 7))) > 0].min() > 0.9


def test_a_photo_that_is_all_person_keeps_its_matte() -> None:
    picture = np.full((40, 40, 3), 90, np.uint8)
    assert (photo_alpha(picture, np.full((40, 40), 255, np.uint8), 200) == 1).all()
    assert not photo_alpha(picture, np.zeros((40, 40), np.uint8), 200).any()


def test_a_frame_without_a_person_has_an_empty_matte() -> None:
    picture = np.full((40, 40, 3), 90, np.uint8)
    assert not person_alpha(picture, np.zeros_like(picture)).any()
    assert np.array_equal(composite(picture, np.zeros((40, 40), np.float32), picture + 9), picture + 9)


def test_no_trace_of_the_old_background_stays_at_the_edge() -> None:
    shown, truth = scene(DRESSED)
    alpha = person_alpha(shown.picture, shown.iuv)
    green = np.zeros_like(shown.picture) + np.array([0, 255, 0], np.uint8)
    made = composite(shown.picture, alpha, green)
    assert np.array_equal(made[truth == 0][:50], green[truth == 0][:50])
    own = foreground(shown.picture, alpha)
    edge = (truth > 0.3) & (truth < 0.7)
    # The mixed pixels are nearer to the wall than the colours that are laid on the new background.
    wall = shown.picture[0, 0].astype(float)
    assert np.abs(own[edge] - wall).mean() > np.abs(shown.picture[edge] - wall).mean()


def frames_of(*shown: tuple[np.ndarray, np.ndarray], cuts: tuple[int, ...] = ()) -> list[ClipFrame]:
    """Consecutive pictures with their IUV as frames; `cuts` are the first frames of scenes."""
    poses = (FramePose(iuv, cut=k in cuts) for k, (_, iuv) in enumerate(shown))
    return [frame.showing(picture) for frame, (picture, _) in zip(clip_frames(poses), shown, strict=True)]


def test_the_matte_of_a_clip_is_steadier_than_its_single_mattes() -> None:
    noise = np.random.default_rng(0)
    scenes = [scene(DRESSED, 0.1 + index / 25) for index in range(5)]
    noisy = [(s.picture + noise.normal(0, 9, s.picture.shape)).clip(0, 255).astype(np.uint8) for s, _ in scenes]
    steady, made, single, matte = [], [], [], SteadyMatte()
    frames = frames_of(*((picture, shown.iuv) for picture, (shown, _) in zip(noisy, scenes, strict=True)))
    for frame, (shown, truth) in zip(frames, scenes, strict=True):
        assert frame.picture is not None
        steady.append((matte.add(frame) - truth).astype(np.float32))
        single.append((person_alpha(frame.picture, shown.iuv) - truth).astype(np.float32))
        if frame.link is not None:
            motion, _ = surface_motion(frame.link.correspondence, 15)
            made.append([np.abs(carried(kind[-2], motion) - kind[-1]).sum() for kind in (steady, single)])
    change = np.mean(made, 0)
    assert change[0] < 0.95 * change[1]  # errors that come and go are what flickers


def test_a_matte_does_not_look_back_over_a_cut() -> None:
    shots = [scene(DRESSED, 0.1 + index / 25)[0] for index in range(2)]
    noisy = (shots[1].picture + np.random.default_rng(0).normal(0, 9, shots[1].picture.shape)).clip(0, 255)
    shown = (shots[0].picture, shots[0].iuv), (noisy.astype(np.uint8), shots[1].iuv)
    made = []
    for cuts in ((1,), ()):
        matte = SteadyMatte()
        made.append([matte.add(frame) for frame in frames_of(*shown, cuts=cuts)][1])
    alone = person_alpha(*shown[1])
    assert np.array_equal(made[0], alone)
    assert not np.array_equal(made[1], alone)


def test_correspondences_follow_the_surface() -> None:
    """A shifted IUV is matched at its shift; without correspondence nothing is matched."""
    shown, _ = scene(LONG_HAIRED)
    moved = np.roll(shown.iuv, (3, -5), (0, 1))
    known = correspond(moved, shown.iuv)
    inside = moved[..., 0] > 0
    assert known.found[inside].mean() > 0.99
    assert np.median(np.abs(known.offset[known.found] - [5, -3])) < 0.5
    assert not known.found[~inside].any()
    assert not correspond(moved, np.zeros_like(moved)).found.any()
    motion, weight = surface_motion(known, 8)
    assert np.median(np.abs(motion[weight > 0.5] - [5, -3])) < 0.5
