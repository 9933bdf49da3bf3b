"""The body fitted to a clip's landmarks: exact where they are exact, steady over windows, parted at cuts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mcld_anim.body import fit
from mcld_anim.body.fit import (
    FOCAL,
    ClipLandmarks,
    closed_form,
    fit_scenes,
    fit_shape,
    project,
    refine,
    rotation_matrices,
    solve_camera,
)
from mcld_anim.body.skeleton import SHAPES, skeleton

CAMERA = np.array([0.1, 3.5, -0.1])
STEPS = 25


def height_of(seen: ClipLandmarks) -> float:
    """Pixels from the highest landmark to the lowest, the mean over the frames."""
    return float(np.ptp(seen.xy[..., 1], axis=1).mean())


def test_the_camera_is_exact_on_exact_landmarks(motion: Callable, landmarks: Callable, perfect_clip: Callable) -> None:
    away = CAMERA + np.random.default_rng(0).uniform(-0.3, 0.3, (6, 3))
    seen = perfect_clip(motion(6), away)
    weight = np.random.default_rng(1).uniform(0.1, 1, (6, 33))
    found = solve_camera(landmarks(motion(6)), seen.xy, weight, FOCAL * max(seen.size), seen.size)
    assert np.allclose(found, away, atol=1e-5)


def test_points_are_projected_upright_and_to_the_right() -> None:
    places = torch.tensor([[[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.0, 0.0, 0.5], [0.0, 2.0, 0.5]]])
    xy, away = project(places, torch.tensor([[0.0, 2.0, 0.0]]), 100.0, (80, 60))
    assert xy[0].tolist() == [[30, 40], [55, 40], [30, 15], [30, 27.5]]
    assert away[0].tolist() == [2, 2, 2, 4]


def test_rotations_by_vectors_are_scipys_and_have_a_gradient_at_0() -> None:
    vectors = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    assert np.allclose(
        rotation_matrices(torch.from_numpy(vectors)).numpy(), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-5
    )
    still = torch.zeros(1, 3, requires_grad=True)
    rotation_matrices(still)[0, 2, 1].backward()
    assert still.grad is not None
    assert still.grad[0].tolist() == pytest.approx([1, 0, 0], abs=1e-5)


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.1])
def test_the_size_of_a_person_is_found(scale: float, motion: Callable, perfect_clip: Callable) -> None:
    found = fit_shape(perfect_clip(motion(8) * 0 + np.eye(3), CAMERA, scale))
    assert found.scale == pytest.approx(scale, rel=1e-6)
    assert np.abs(found.coefficients).max() < 1e-6


def test_long_legs_are_found_and_lengths_that_are_not_seen_do_not_count(
    motion: Callable, perfect_clip: Callable
) -> None:
    seen = perfect_clip(motion(9) * 0 + np.eye(3), CAMERA)
    below = [25, 26, 27, 28]
    stretched = seen.world.copy()
    hips = stretched[:, 23:25].mean(1, keepdims=True)
    stretched[:, below] = hips + (stretched[:, below] - hips) * 1.1
    found = fit_shape(replace(seen, world=stretched))
    rest, mean = skeleton().rest_landmarks(found.coefficients, found.scale), skeleton().landmarks

    def ratio(pair: tuple[int, int]) -> float:
        a, b = pair
        return float(np.linalg.norm(rest[a] - rest[b]) / np.linalg.norm(mean[a] - mean[b]))

    assert ratio((23, 27)) > 1.04
    assert ratio((11, 15)) < ratio((23, 27)) - 0.01
    unseen = seen.visibility.copy()
    unseen[:, below] = 0.1
    assert fit_shape(replace(seen, world=stretched, visibility=unseen)).scale == pytest.approx(1, abs=1e-6)
    some = np.arange(9) < 3  # the frames that are not found hold the stretched landmarks
    mixed = np.where(some[:, None, None], seen.world, stretched)
    assert fit_shape(replace(seen, world=mixed, found=some)).scale == pytest.approx(1, abs=1e-6)
    nothing = fit_shape(replace(seen, visibility=np.zeros((9, 33))))
    assert (nothing.scale, np.abs(nothing.coefficients).max(), len(nothing.coefficients)) == (1.0, 0.0, SHAPES)


def test_exact_landmarks_of_a_motion_are_reproduced(motion: Callable, perfect_clip: Callable) -> None:
    away = CAMERA + np.linspace(0, 0.2, 12)[:, None] * [1.0, 1.0, 0.0]
    seen = perfect_clip(motion(12), away)
    made = fit_scenes(seen, [slice(0, 12)])
    xy, places = made.landmarks()
    apart = np.linalg.norm(xy - seen.xy, axis=-1) / height_of(seen)
    assert apart.mean() < 0.005
    assert apart.max() < 0.03
    from_hips = places - places[:, 23:25].mean(1, keepdims=True)
    assert np.linalg.norm(from_hips - seen.world, axis=-1).mean() < 0.03
    assert np.abs(made.camera - away).max() < 0.08
    assert (made.focal, made.size) == (FOCAL * 480, seen.size)
    unrefined = fit_scenes(seen, [slice(0, 12)], steps=0)
    before = np.linalg.norm(unrefined.landmarks()[0] - seen.xy, axis=-1) / height_of(seen)
    assert apart.mean() < before.mean() / 2


def test_a_single_picture_is_fitted(motion: Callable, perfect_clip: Callable) -> None:
    seen = perfect_clip(motion(1), CAMERA)
    made = fit_scenes(seen, [slice(0, 1)])
    assert np.linalg.norm(made.landmarks()[0] - seen.xy, axis=-1).mean() < 0.01 * height_of(seen)


def test_windows_do_not_jump_where_they_meet(motion: Callable, perfect_clip: Callable) -> None:
    generator = np.random.default_rng(0)
    frames = 2 * fit.WINDOW + 22
    exact = perfect_clip(motion(frames), CAMERA)
    noise = generator.normal(size=exact.xy.shape), generator.normal(size=exact.world.shape)
    seen = replace(exact, xy=exact.xy + noise[0], world=exact.world + 0.02 * noise[1])
    made = fit_scenes(seen, [slice(0, frames)], STEPS)
    xy, _ = made.landmarks()
    assert np.linalg.norm(xy - exact.xy, axis=-1).mean() < 0.01 * height_of(exact)
    bends = np.linalg.norm(np.diff(xy, 2, axis=0), axis=-1).mean(1)
    depth = np.abs(np.diff(made.camera[:, 1], 2))
    for values in (bends, depth):
        usual = np.quantile(values, 0.9)
        for border in range(fit.WINDOW - fit.OVERLAP // 2, frames, fit.WINDOW - fit.OVERLAP):
            assert values[border - 3 : border + 2].max() < 2 * usual
    # Windows change in the middle of their overlap: nothing comes from the first or last frames of one.
    part = seen.part(slice(0, fit.WINDOW))
    first = refine(closed_form(part, made.shape, made.focal), part, STEPS)
    change = fit.WINDOW - fit.OVERLAP // 2
    assert np.allclose(made.controls[:change], first.controls[:change], atol=1e-5)
    assert not np.allclose(made.controls[change : fit.WINDOW], first.controls[change:], atol=1e-5)


def test_shaking_landmarks_give_a_steady_body(motion: Callable, perfect_clip: Callable) -> None:
    exact, generator = perfect_clip(motion(24), CAMERA), np.random.default_rng(0)
    shaken = replace(exact, xy=exact.xy + 2 * generator.normal(size=exact.xy.shape))
    xy, _ = fit_scenes(shaken, [slice(0, 24)]).landmarks()

    def bend(places: np.ndarray) -> float:
        return float(np.linalg.norm(np.diff(places, 2, axis=0), axis=-1).mean())

    assert bend(xy) < 0.17 * bend(shaken.xy)  # 0.14; without the smoothness terms of the fit 0.21


@pytest.mark.parametrize("frames", [1, 2, 3, 16, 17, fit.WINDOW, fit.WINDOW + 1, fit.WINDOW + 17, 2 * fit.WINDOW - 15])
def test_every_frame_of_every_length_is_fitted(frames: int, motion: Callable, perfect_clip: Callable) -> None:
    seen = perfect_clip(motion(frames), CAMERA)
    made = fit_scenes(seen, [slice(0, frames)], steps=0)
    assert np.linalg.norm(made.landmarks()[0] - seen.xy, axis=-1).mean(1).max() < 0.04 * height_of(seen)


def test_nothing_is_smoothed_over_a_cut(motion: Callable, perfect_clip: Callable) -> None:
    first, second = motion(10), motion(10, seed=8)
    far = np.concatenate([np.tile(CAMERA, (10, 1)), np.tile(CAMERA + np.array([0.6, 2.0, 0.0]), (10, 1))])
    both = perfect_clip(np.concatenate([first, second]), far)
    made = fit_scenes(both, [slice(0, 10), slice(10, 20)], STEPS)
    other = replace(both, xy=np.concatenate([both.xy[:10], both.xy[10:] + 60]))  # the build stays
    again = fit_scenes(other, [slice(0, 10), slice(10, 20)], STEPS)
    assert np.array_equal(made.controls[:10], again.controls[:10])
    assert np.array_equal(made.camera[:10], again.camera[:10])
    joined = fit_scenes(both, [slice(0, 20)], STEPS)

    def error(body: fit.BodyMotion, frame: int) -> float:
        return float(np.linalg.norm(body.landmarks()[0][frame] - both.xy[frame], axis=-1).mean())

    for frame in (9, 10):
        assert error(made, frame) < 0.01 * height_of(both)
        assert error(made, frame) < error(joined, frame) / 3


def test_frames_without_the_person_do_not_pull(motion: Callable, perfect_clip: Callable) -> None:
    exact = perfect_clip(motion(1).repeat(15, 0), CAMERA)
    held = exact.xy.copy()
    held[6:9, 15] += 12  # what such a frame holds pulls nothing, where the network's word would count
    found = np.ones(15, bool)
    found[6:9] = False

    def wrist(clip: ClipLandmarks) -> np.ndarray:
        return np.asarray(fit_scenes(clip, [slice(0, 15)], STEPS).landmarks()[0][:, 15])

    counted = np.linalg.norm(wrist(replace(exact, xy=held)) - wrist(exact), axis=-1)
    marked = [wrist(replace(exact, xy=xy, found=found)) for xy in (held, exact.xy)]
    assert counted[7] > 2
    assert np.linalg.norm(marked[0] - marked[1], axis=-1)[7] < counted[7] / 2


def test_landmarks_outside_the_picture_or_unseen_hardly_count(motion: Callable, perfect_clip: Callable) -> None:
    exact = perfect_clip(motion(1).repeat(3, 0), CAMERA)
    wrong = exact.xy.copy()
    wrong[:, [25, 27]] += [50, 0]
    unseen = exact.visibility.copy()
    unseen[:, [25, 27]] = 0.02
    hidden = fit_scenes(replace(exact, xy=wrong, visibility=unseen), [slice(0, 3)], STEPS)
    shown = fit_scenes(replace(exact, xy=wrong), [slice(0, 3)], STEPS)
    apart = [np.linalg.norm(one.landmarks()[0] - exact.xy, axis=-1)[:, 27].mean() for one in (hidden, shown)]
    assert apart[0] < 0.02 * height_of(exact)
    assert apart[0] < apart[1] / 2
    wrong[:, 27] = [380, 240]  # the picture is 360 pixels wide
    weight = fit._weights(replace(exact, xy=wrong))
    assert np.allclose(weight[:, 27] / weight[:, 28], fit.OUTSIDE, atol=0.001)
