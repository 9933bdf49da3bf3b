"""`eval fill`: the texture measure on known answers, the holes, and the comparison on a small picture."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mcld_anim.core.errors import UsageError
from mcld_anim.core.pictures import write_picture
from mcld_anim.evaluate.fill import (
    METHODS,
    SIZE,
    FillOptions,
    compare_fills,
    fill_metrics,
    middle_square,
    person_holes,
    texture_distance,
)


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)


@pytest.fixture
def hole() -> np.ndarray:
    mask = np.zeros((96, 96), bool)
    mask[20:80, 30:70] = True
    return mask


def test_equal_texture_has_no_distance_and_lost_texture_has_one(noise: np.ndarray, hole: np.ndarray) -> None:
    assert texture_distance(noise, noise, hole) == pytest.approx(0, abs=1e-3)
    assert texture_distance(np.full_like(noise, 128), noise, hole) == pytest.approx(1, abs=1e-3)
    blurred = cv2.GaussianBlur(noise, (0, 0), 1)
    assert 0.3 < texture_distance(blurred, noise, hole) < texture_distance(cv2.blur(blurred, (7, 7)), noise, hole) < 1


def test_the_same_texture_elsewhere_is_close_although_psnr_prefers_a_blur(noise: np.ndarray, hole: np.ndarray) -> None:
    moved = np.roll(noise, (13, 7), (0, 1))
    blurred = cv2.blur(noise, (15, 15))
    moved_metrics, blurred_metrics = fill_metrics(moved, noise, hole), fill_metrics(blurred, noise, hole)
    assert moved_metrics["psnr"] < blurred_metrics["psnr"]
    assert moved_metrics["texture"] < 0.1 < 0.8 < blurred_metrics["texture"]


def test_too_much_texture_is_a_distance_even_in_a_plain_picture(noise: np.ndarray, hole: np.ndarray) -> None:
    plain = np.full_like(noise, 128)
    assert texture_distance(noise, plain, hole) > 1
    assert texture_distance(plain, plain, hole) == 0


def test_people_leave_a_full_length_and_a_half_body_hole() -> None:
    whole, half = person_holes(900_000, 128)
    assert 0.1 < whole.mean() < 0.35 < half.mean() < 0.6
    assert half[-1].any()  # it touches the border
    assert not whole[0].all()
    np.testing.assert_array_equal(list(person_holes(900_000, 128)), [whole, half])
    assert (next(person_holes(900_001, 128)) != whole).any()


def test_a_picture_is_cropped_to_its_middle_square_and_scaled_down() -> None:
    wide = np.zeros((SIZE * 2, SIZE * 4, 3), np.uint8)
    wide[:, SIZE:-SIZE] = 200
    assert (middle_square(wide) == 200).all()
    assert middle_square(wide).shape == (SIZE, SIZE, 3)
    assert middle_square(wide[:64, :50]).shape == (50, 50, 3)


def test_without_a_picture_nothing_is_compared() -> None:
    with pytest.raises(UsageError, match="no picture"):
        FillOptions(())


def test_patches_are_best_where_a_pattern_goes_on(tmp_path: Path) -> None:
    rows, columns = np.mgrid[:64, :64]
    pattern = np.where(((rows // 6 + columns // 6) % 2)[..., None], np.uint8([200, 180, 40]), np.uint8([30, 60, 90]))
    pattern ^= np.random.default_rng(0).integers(0, 4, pattern.shape, dtype=np.uint8)  # nothing can be perfect
    write_picture(tmp_path / "pattern.png", pattern)
    calls: list[tuple[str, int, int | None]] = []
    metrics = compare_fills(FillOptions((tmp_path / "pattern.png",)), lambda *call: calls.append(call))
    assert calls == [("holes", 1, 2), ("holes", 2, 2)]
    assert (metrics["pictures"], metrics["holes"]) == (1, 2)
    assert set(metrics) == {"pictures", "holes", *METHODS}
    for name in METHODS:
        assert set(metrics[name]) == {"psnr", "ssim", "texture", "seconds"}
        assert metrics[name]["seconds"] > 0
    others = [metrics[name] for name in METHODS if name != "patches"]
    best = metrics["patches"]
    assert best["psnr"] > max(one["psnr"] for one in others)
    assert best["ssim"] > max(one["ssim"] for one in others)
    assert best["texture"] < 0.5 * min(one["texture"] for one in others)


def test_a_perfect_fill_is_no_infinity_in_json(tmp_path: Path) -> None:
    write_picture(tmp_path / "plain.png", np.full((64, 64, 3), 90, np.uint8))
    metrics = compare_fills(FillOptions((tmp_path / "plain.png",)))
    assert metrics["patches"]["psnr"] is None
    assert "Infinity" not in json.dumps(metrics)
