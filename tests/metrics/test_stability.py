"""Stability on frames with a known change, and on a moving person."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.body.clip import FramePose, clip_frames
from mcld_anim.core.errors import UsageError
from mcld_anim.metrics.stability import Stability, StabilityMeter
from mcld_anim.synthetic.dance import dance_pose
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import Light, View


def square(x: int, colour: int) -> tuple[np.ndarray, np.ndarray]:
    """A part of 64 x 64 pixels, one per texel, at column `x` of a grey frame."""
    picture, iuv = np.full((64, 160, 3), 128, np.uint8), np.zeros((64, 160, 3), np.uint8)
    ramp = (np.arange(64) * 4 + 2).astype(np.uint8)
    iuv[:, x : x + 64] = np.stack(np.broadcast_arrays(np.uint8(2), ramp[None], ramp[:, None]), -1)
    picture[:, x : x + 64] = colour
    return picture, iuv


def measured(*shown: tuple[np.ndarray, np.ndarray], cuts: tuple[int, ...] = ()) -> list[Stability | None]:
    """What the meter says of consecutive pictures with their IUV; `cuts` are the first frames of scenes."""
    meter, poses = StabilityMeter(), (FramePose(iuv, cut=k in cuts) for k, (_, iuv) in enumerate(shown))
    frames = zip(clip_frames(poses), shown, strict=True)
    return [meter.add(frame.showing(picture)) for frame, (picture, _) in frames]


def test_moving_alone_is_no_change() -> None:
    first, moved = measured(square(0, 70), square(90, 70))
    assert first is None
    assert moved is not None
    assert (moved.texel_change, moved.warp_error, moved.texels) == (0, 0, 64 * 64)


def test_a_known_change_is_measured() -> None:
    _, changed = measured(square(0, 70), square(40, 80))
    assert changed is not None
    assert changed.texel_change == pytest.approx(10)
    assert changed.warp_error == pytest.approx((10 / 255) ** 2)


def test_independent_noise_gives_its_expected_difference() -> None:
    """|a - b| of two normal variables of deviation s has mean 2 s / sqrt(pi), its square 2 s^2."""
    generator, deviation, noisy = np.random.default_rng(0), 8.0, []
    for _ in range(2):
        picture, iuv = square(0, 128)
        grainy = np.clip(np.rint(picture + generator.normal(0, deviation, picture.shape)), 0, 255)
        noisy.append((grainy.astype(np.uint8), iuv))
    _, found = measured(*noisy)
    assert found is not None
    assert found.texel_change == pytest.approx(2 * deviation / np.sqrt(np.pi), rel=0.03)
    assert found.warp_error == pytest.approx(2 * (deviation / 255) ** 2, rel=0.05)


def test_nothing_in_common_has_no_change() -> None:
    other = square(0, 70)
    other[1][..., 0] *= 3
    assert measured(square(0, 70), other) == [None, None]


def test_nothing_is_compared_over_a_cut() -> None:
    _, cut, after = measured(square(0, 70), square(0, 90), square(0, 90), cuts=(1,))
    assert cut is None
    assert after is not None
    assert after.texel_change == 0


def test_sizes_must_agree() -> None:
    with pytest.raises(UsageError, match="differ in size"):
        measured((np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)))


def dance(count: int) -> list[Rendering]:
    person, background = Person.from_seed(900_050), np.full((192, 192, 3), 0.8, np.float32)
    return [
        render(person, dance_pose(k / 25), View(), Light((0.0, -1.0, 0.3), 0.8), background, 192) for k in range(count)
    ]


def test_independent_noise_per_frame_raises_the_change_of_a_dance() -> None:
    generator, frames = np.random.default_rng(0), dance(4)

    def mean_change(deviation: float) -> float:
        noisy = [frame.picture + generator.normal(0, deviation, frame.picture.shape) for frame in frames]
        shown = [(np.clip(p, 0, 255).astype(np.uint8), f.iuv) for p, f in zip(noisy, frames, strict=True)]
        return float(np.mean([found.texel_change for found in measured(*shown) if found is not None]))

    true, noisy = mean_change(0), mean_change(20)
    assert true < 12
    assert noisy > true + 5
