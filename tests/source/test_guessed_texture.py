"""The texture of clothes where a photo does not show them."""

from __future__ import annotations

import numpy as np

from mcld_anim.core.arrays import ATLAS_SIZE, HEAD_PARTS, PART_COUNT, Atlas, AtlasMask
from mcld_anim.source.guessed_texture import guessed_texture
from mcld_anim.source.patch_texture import made_anew, standing_out

FRONT, BACK, LEFT_ARM, RIGHT_FOREARM, HAND = 2, 1, 15, 20, 3


def fleece(contrast: float) -> Atlas:
    noise = np.random.default_rng(2).normal(0, contrast, (PART_COUNT, ATLAS_SIZE, ATLAS_SIZE, 1))
    return np.rint(140 + noise).clip(0, 255).astype(np.uint8).repeat(3, -1)


def seen_on(*parts: int) -> AtlasMask:
    seen = np.zeros((PART_COUNT, ATLAS_SIZE, ATLAS_SIZE), bool)
    for part in parts:
        seen[part - 1, 50:150, 50:150] = True
    return seen


def test_a_garment_has_its_texture_all_around() -> None:
    """Sleeves that are not seen have the other sleeve's, or else the trunk's; heads and hands have none."""
    for contrast in (3.0, 12.0):
        texture = guessed_texture(fleece(contrast), seen_on(FRONT, *HEAD_PARTS, HAND))
        for part in (FRONT, BACK, LEFT_ARM, RIGHT_FOREARM):
            assert 0.4 * contrast < texture[part - 1].std() < 0.9 * contrast
            assert abs(texture[part - 1].mean()) < 0.2 * contrast
        assert not texture[[part - 1 for part in (*HEAD_PARTS, HAND)]].any()


def test_the_nearest_part_gives_it() -> None:
    shown = fleece(2.0)
    shown[LEFT_ARM - 1] = fleece(14.0)[LEFT_ARM - 1]
    texture = guessed_texture(shown, seen_on(FRONT, LEFT_ARM))
    assert texture[RIGHT_FOREARM - 1].std() > 3 * texture[BACK - 1].std()


def test_a_print_is_no_texture() -> None:
    """What has another colour than the garment, and what stands out too much, comes again nowhere."""
    shown = fleece(2.0)
    shown[FRONT - 1, 90:110, 60:140] = 255, 30, 30
    shown[FRONT - 1, 60:64] = 110  # a seam
    texture = guessed_texture(shown, seen_on(FRONT))
    assert np.abs(texture[FRONT - 1]).max() <= 12


def test_too_little_is_not_made_up() -> None:
    known = np.zeros((ATLAS_SIZE, ATLAS_SIZE), bool)
    known[:12, :12] = True
    assert made_anew(np.ones((ATLAS_SIZE, ATLAS_SIZE), np.float32), known) is None
    assert not guessed_texture(fleece(5.0), np.zeros((PART_COUNT, ATLAS_SIZE, ATLAS_SIZE), bool)).any()


def test_light_and_shade_do_not_stand_out() -> None:
    ramp = np.tile(np.linspace(0, 200, ATLAS_SIZE, dtype=np.float32), (ATLAS_SIZE, 1))
    known = np.ones((ATLAS_SIZE, ATLAS_SIZE), bool)
    assert np.abs(standing_out(ramp, known, 5.0)[:, 30:-30]).max() < 0.5
