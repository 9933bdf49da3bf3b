"""What goes around to the back of a head and a torso: usual colours and texture, and nothing of the front alone."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.body.garments import on_texels
from mcld_anim.body.rig import load_body
from mcld_anim.core.arrays import HEAD_PARTS, PART_COUNT, Atlas, AtlasMask
from mcld_anim.source.fill import TORSO
from mcld_anim.source.whole_atlas import whole_atlas
from mcld_anim.source.wrapped import CLOTH, HAIR, wrapped

JACKET, TIE, HAIR_COLOUR, SKIN = (40, 60, 110), (200, 30, 40), (90, 60, 40), (220, 170, 140)


@pytest.fixture(scope="module")
def places() -> np.ndarray:
    """Of every texel (24, 200, 200, 3), metres on the body at rest."""
    return np.stack([on_texels(axis.astype(np.float32)) for axis in load_body().mean_vertices.T], -1)


@pytest.fixture(scope="module")
def seen_from_the_front(places: np.ndarray) -> AtlasMask:
    return places[..., 1] < -0.02


def coloured(colour: tuple[int, int, int], contrast: float) -> Atlas:
    noise = np.random.default_rng(1).normal(0, contrast, (PART_COUNT, 200, 200, 1))
    return np.rint(np.array(colour) + noise).clip(0, 255).astype(np.uint8)


def test_a_jacket_goes_around_without_its_tie(places: np.ndarray, seen_from_the_front: AtlasMask) -> None:
    atlas = coloured(JACKET, 4)
    atlas[np.abs(places[..., 0]) < 0.03] = TIE
    made = wrapped(TORSO, atlas, seen_from_the_front, CLOTH)
    assert made is not None
    back = made[0]
    assert np.abs(back.reshape(-1, 3).astype(float) - JACKET).max() < 25
    np.testing.assert_allclose(np.median(back, (0, 1)), JACKET, atol=3)
    assert 0.5 < back.mean(-1).std() < 6
    again = wrapped(TORSO, atlas, seen_from_the_front, CLOTH)
    np.testing.assert_array_equal(made, again)


def test_the_waist_stays_where_it_is(places: np.ndarray, seen_from_the_front: AtlasMask) -> None:
    waist = float(np.median(places[TORSO[0] - 1][..., 2]))
    atlas = np.where((places[..., 2] > waist)[..., None], coloured(JACKET, 2), coloured(TIE, 2))
    made = wrapped(TORSO, atlas, seen_from_the_front, CLOTH)
    assert made is not None
    heights = places[TORSO[0] - 1][..., 2]
    for there, colour in ((heights > waist + 0.06, JACKET), (heights < waist - 0.06, TIE)):
        np.testing.assert_allclose(np.median(made[0][there], 0), colour, atol=6)


def test_hair_has_the_contrast_of_what_is_seen_of_it(seen_from_the_front: AtlasMask) -> None:
    for contrast in (3.0, 20.0):
        made = wrapped(HEAD_PARTS, coloured(HAIR_COLOUR, contrast), seen_from_the_front, HAIR, np.uint8(HAIR_COLOUR))
        assert made is not None
        np.testing.assert_allclose(np.median(made, (0, 1, 2)), HAIR_COLOUR, atol=12)
        assert 0.15 * contrast < made.mean(-1).std() < contrast  # a pixel of the label is the mean of some texels


def test_too_little_to_see_is_not_made_up(seen_from_the_front: AtlasMask) -> None:
    atlas, few = coloured(JACKET, 4), np.zeros_like(seen_from_the_front)
    few[TORSO[1] - 1, 90:100, 90:100] = True
    assert wrapped(TORSO, atlas, few, CLOTH) is None
    assert wrapped(TORSO, atlas, np.zeros_like(few), CLOTH) is None


def test_an_ear_under_hair_is_not_painted(places: np.ndarray) -> None:
    """The others are skin, whatever is beside them."""
    body = load_body()
    ears = on_texels((body.ears > 0.75).astype(np.float32)) > 0.5
    valid = places[..., 1] < -0.05
    hidden = ears & ~valid
    for covered, expected in (("", (SKIN, SKIN)), ("L", (SKIN, HAIR_COLOUR)), ("LR", (HAIR_COLOUR, HAIR_COLOUR))):
        atlas, _ = whole_atlas(coloured(HAIR_COLOUR, 3), valid, np.uint8(HAIR_COLOUR), np.uint8(SKIN), covered)
        for part, colour in zip(HEAD_PARTS, expected, strict=True):  # the right one first
            ear = hidden[part - 1]
            assert ear.any()
            np.testing.assert_allclose(np.median(atlas[part - 1][ear], 0), colour, atol=15)


def test_an_ear_lies_in_the_light_of_the_skin_beside_it(places: np.ndarray) -> None:
    """A photo from the front shows the side of a head in less light than the cheeks."""
    ears = on_texels((load_body().ears > 0.75).astype(np.float32)) > 0.5
    valid = (places[..., 1] < -0.05) & ~ears
    darker = tuple(round(0.8 * level) for level in SKIN)
    for beside, expected in ((darker, darker), (JACKET, SKIN)):
        atlas, _ = whole_atlas(coloured(beside, 2), valid, None, np.uint8(SKIN))
        np.testing.assert_allclose(np.median(atlas[ears], 0), expected, atol=4)


def test_hands_and_necks_are_no_cloth(places: np.ndarray, seen_from_the_front: AtlasMask) -> None:
    """Unless the whole torso is bare."""
    low = float(np.quantile(places[TORSO[1] - 1][..., 2], 0.3))
    for bare_below, expected in ((low, JACKET), (9.0, SKIN)):
        shown = np.where((places[..., 2] < bare_below)[..., None], coloured(SKIN, 2), coloured(JACKET, 2))
        atlas, _ = whole_atlas(shown, seen_from_the_front, None, np.uint8(SKIN))
        back = atlas[TORSO[0] - 1][~seen_from_the_front[TORSO[0] - 1]]
        np.testing.assert_allclose(np.median(back, 0), expected, atol=10)


def test_a_jacket_is_continued_beside_the_end_of_a_shirt(places: np.ndarray) -> None:
    """Where a desk hides the rest of both, the shirt's colour does not run into the jacket."""
    front = TORSO[1] - 1
    across, height = places[front][..., 0], places[front][..., 2]
    desk = float(np.median(height))
    shown, valid = coloured(JACKET, 2), np.zeros((24, 200, 200), bool)
    shown[front][np.abs(across) < 0.07] = TIE
    valid[front] = height > desk
    atlas, _ = whole_atlas(shown, valid, None, np.uint8(SKIN))
    off = np.abs(atlas[front].astype(int) - JACKET).max(-1)
    for low, high, most in ((0.0, 0.05, 80), (0.05, 0.2, 10)):  # metres below the desk's edge
        assert off[(height < desk - low) & (height > desk - high)].max() < most
    assert np.array_equal(atlas[front][valid[front]], shown[front][valid[front]])


def test_a_badge_at_the_edge_of_what_is_seen_is_not_continued() -> None:
    """Neither beyond that edge nor on the other arm, however large its blur would be."""
    shown, valid = coloured(JACKET, 2), np.zeros((24, 200, 200), bool)
    left, right = 15, 16
    valid[left - 1, :100], valid[right - 1, :, :60] = True, True
    badge = np.s_[left - 1, 60:100, 110:160]
    shown[badge] = 40, 60, 250
    atlas, _ = whole_atlas(shown, valid, None, np.uint8(SKIN))
    assert (atlas[badge] == (40, 60, 250)).all()
    elsewhere = np.ones((24, 200, 200), bool)
    elsewhere[badge] = False
    for part in (left, right):
        assert np.abs(atlas[part - 1][elsewhere[part - 1]].astype(int) - JACKET).max() < 20
