"""PSNR and SSIM: hand-computed values, agreement with scikit-image, masks."""

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from mcld_anim.core.errors import UsageError
from mcld_anim.metrics.pictures import psnr, ssim, ssim_256_published, ssim_published


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 256, (96, 72, 3)).astype(np.uint8)
    noisy = (truth.astype(int) + rng.integers(-30, 31, truth.shape)).clip(0, 255).astype(np.uint8)
    return noisy, truth


def test_psnr_of_a_known_error() -> None:
    truth = np.full((4, 4, 3), 100, np.uint8)
    assert psnr(truth + np.uint8(51), truth) == pytest.approx(10 * np.log10(1 / 0.2**2))
    assert psnr(truth, truth) == float("inf")


def test_psnr_inside_a_mask() -> None:
    truth = np.zeros((4, 6, 3))
    wrong = truth.copy()
    wrong[:, :3] = 0.1
    mask = np.zeros((4, 6), bool)
    mask[:, :3] = True
    assert psnr(wrong, truth, mask) == pytest.approx(20.0)
    assert psnr(wrong, truth, ~mask) == float("inf")
    assert psnr(wrong, truth) == pytest.approx(20.0 + 10 * np.log10(2))


def test_ssim_is_scikit_images(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = (picture / 255 for picture in pair)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 2}
    assert ssim(first, second) == pytest.approx(structural_similarity(first, second, data_range=1, **gaussian))
    published = structural_similarity(first, second, win_size=51, data_range=1, channel_axis=2)
    assert ssim_published(first, second) == pytest.approx(published)
    levels = [picture.astype(np.float64) for picture in pair]
    spread = levels[0].max() - levels[0].min()
    wide = structural_similarity(*levels, data_range=spread, **gaussian)
    assert ssim_256_published(*pair) == pytest.approx(wide)


def test_bytes_and_floats_measure_the_same(pair: tuple[np.ndarray, np.ndarray]) -> None:
    floats = [picture / 255 for picture in pair]
    for metric in (psnr, ssim, ssim_published):
        assert metric(*pair) == pytest.approx(metric(*floats))


def test_ssim_inside_a_mask(pair: tuple[np.ndarray, np.ndarray]) -> None:
    noisy, truth = pair
    half = truth.copy()
    half[:, 40:] = noisy[:, 40:]
    left = np.zeros(truth.shape[:2], bool)
    left[:, :30] = True
    assert ssim(half, truth, left) == pytest.approx(1.0)
    assert ssim(half, truth, ~left) < ssim(half, truth) < 1.0


@pytest.mark.parametrize("metric", [psnr, ssim, ssim_published, ssim_256_published])
def test_shapes_must_agree(metric: object) -> None:
    with pytest.raises(UsageError, match="resize one"):
        metric(np.zeros((60, 60, 3)), np.zeros((60, 61, 3)))  # type: ignore[operator]


def test_small_pictures_and_empty_masks_are_refused() -> None:
    small = np.zeros((40, 40, 3))
    with pytest.raises(UsageError, match="smaller than the SSIM window of 51"):
        ssim_published(small, small)
    with pytest.raises(UsageError, match="0 pixels"):
        psnr(small, small, np.zeros((40, 40), bool))
