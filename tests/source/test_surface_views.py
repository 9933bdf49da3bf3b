"""Several photos of one person, texel by texel: the best one counts, seams are soft, and exposure is matched."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from mcld_anim.core.arrays import HEAD_PARTS
from mcld_anim.source.joined_photos import joined_source, joined_texture, texture_atlas
from mcld_anim.source.same_person import clothes_distance, other_clothes, other_colours, surface_distance
from mcld_anim.source.shown import Shown
from mcld_anim.source.surface_views import JoinedSurface, SurfaceView, matched_gains, sharpness, surface_views
from mcld_anim.source.texture import smpl_texture, source_texture
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import Light, View, draw_background
from mcld_anim.synthetic.views import draw_shots

SIZE = 256
GAIN = np.array([0.75, 0.85, 0.7])


def seen_from(seed: int, turn: float, zoom: float = 0.8) -> Rendering:
    person = Person.from_seed(seed)
    (shot,) = draw_shots(person, 0, 1)
    background = draw_background(np.random.default_rng(0), SIZE, "plain")
    return render(person, shot.pose.changed(turn=turn), View(zoom=zoom), Light(), background, SIZE, supersample=1)


@pytest.fixture(scope="module")
def front() -> Rendering:
    return seen_from(900_001, 0.0)


@pytest.fixture(scope="module")
def back() -> Rendering:
    return seen_from(900_001, np.pi)


def both(*photos: Rendering) -> list[SurfaceView]:
    return surface_views([(photo.picture, photo.iuv) for photo in photos])


def darker(photo: Rendering) -> np.ndarray:
    return np.rint(photo.picture * GAIN).astype(np.uint8)


def test_weights_are_shares_of_what_is_shown(front: Rendering, back: Rendering) -> None:
    views = both(front, back)
    joined = JoinedSurface.of(views)
    shown = views[0].valid | views[1].valid
    assert np.abs(joined.weights.sum(0)[shown] - 1).max() < 1e-5
    assert not joined.weights.sum(0)[~shown].any()
    for number, view in enumerate(views):
        assert joined.weights[number][view.valid & ~views[1 - number].valid].min() > 0.999
    assert 0.25 < views[0].shown < 0.45


def test_the_nearer_photo_counts(front: Rendering) -> None:
    far = seen_from(900_001, 0.0, zoom=0.4)
    for order, nearer in (((front, far), 0), ((far, front), 1)):
        views = both(*order)
        joined = JoinedSurface.of(views)
        assert joined.weights[nearer][views[0].valid & views[1].valid].mean() > 0.9
        assert joined.face == nearer


def test_the_photo_that_faces_the_surface_counts(front: Rendering) -> None:
    """A chest seen from the side has fewer pixels than one seen from the front."""
    side = seen_from(900_001, 1.0)
    views = both(side, front)
    joined = JoinedSurface.of(views)
    shared = views[0].valid[1] & views[1].valid[1]
    across = np.abs(np.diff(joined.weights[0][1], axis=1))[shared[:, 1:] & shared[:, :-1]]
    assert across.max() < 0.4  # over the seam it fades
    assert joined.weights[1][1][shared].mean() > 0.6
    assert joined.weights[0][1][views[0].valid[1]].max() > 0.9  # but its flank


def test_a_blurred_photo_counts_less(front: Rendering) -> None:
    blurred = cv2.GaussianBlur(front.picture, (0, 0), 3)
    inside = front.iuv[..., 0] > 0
    assert sharpness(blurred, inside) < 0.7 * sharpness(front.picture, inside)
    views = surface_views([(blurred, front.iuv), (front.picture, front.iuv)])
    joined = JoinedSurface.of(views)
    assert joined.weights[1][views[1].valid].mean() > 0.9


def test_the_face_is_one_photos(front: Rendering) -> None:
    """Also where another photo has more of one cheek."""
    turned = seen_from(900_001, -1.2)
    views = both(turned, front)
    joined = JoinedSurface.of(views)
    assert joined.face == 1
    right, left = (part - 1 for part in HEAD_PARTS)
    for half, front_part in ((right, np.s_[:, 150:]), (left, np.s_[:, :50])):
        assert np.median(joined.weights[1][half][front_part][views[1].valid[half][front_part]]) > 0.99


def test_exposure_and_white_balance_are_matched(front: Rendering, back: Rendering) -> None:
    views = surface_views([(front.picture, front.iuv), (darker(back), back.iuv)])
    gains = matched_gains(views)
    assert gains[0].tolist() == [1, 1, 1]
    assert np.abs(np.log(gains[1] * GAIN)).max() < 0.15
    assert np.abs(np.log(matched_gains(both(front, back))[1])).max() < 0.15
    three = surface_views([(darker(front), front.iuv), (back.picture, back.iuv), (front.picture, front.iuv)])
    assert np.abs(np.log(matched_gains(three)[1:] / GAIN)).max() < 0.15  # all are matched to the first


def test_the_texture_shows_both_sides(front: Rendering, back: Rendering) -> None:
    photos = [(front.picture, front.iuv), (darker(back), back.iuv)]
    joined = joined_texture(photos, surface_views(photos), "nearest")
    only_front, only_back = (source_texture(photo.picture, photo.iuv, "nearest") for photo in (front, back))
    assert np.count_nonzero(joined.any(-1)) > 1.7 * np.count_nonzero(only_front.any(-1))
    new = only_back.any(-1) & ~only_front.any(-1)
    assert np.abs(joined[new].astype(int) - only_back[new]).mean() < 12
    texture, atlas, valid = joined_source(photos, "nearest")
    assert np.array_equal(texture, joined)
    assert atlas[valid].any(-1).mean() > 0.99
    assert (atlas.max(-1) > 0).mean() > 0.95  # complete
    assert np.array_equal(smpl_texture(texture_atlas(photos, "nearest")[0]), texture)
    shown = Shown.of_photos(photos)
    assert np.array_equal(shown.atlas, atlas)
    assert np.array_equal(shown.valid, valid)
    assert Shown.of_photos(photos[:1]).valid.sum() < 0.7 * valid.sum()


def test_a_body_that_is_not_where_it_was_seen_is_noticed_by_the_colours(front: Rendering, back: Rendering) -> None:
    turned = seen_from(900_001, 0.4)
    first, second = surface_views([(front.picture, front.iuv), (darker(turned), turned.iuv)])
    assert not other_colours(first, second)
    aside = SurfaceView.of(front.picture, np.roll(front.iuv, -14, axis=0))
    assert not other_clothes(first, aside)
    assert other_colours(first, aside)
    assert surface_distance(first, SurfaceView.of(back.picture, back.iuv)) is None  # they hardly share any


def test_somebody_else_is_noticed_by_the_clothes(front: Rendering, back: Rendering) -> None:
    other = seen_from(900_003, np.pi)
    first, second = surface_views([(front.picture, front.iuv), (darker(back), back.iuv)])
    stranger = SurfaceView.of(other.picture, other.iuv)
    assert not other_clothes(first, second)
    assert other_clothes(first, stranger)
    nobody = SurfaceView(np.zeros_like(first.atlas), np.zeros_like(first.valid), np.zeros_like(first.density))
    assert clothes_distance(first, nobody) is None
    assert not other_clothes(first, nobody)
