"""Rendered people as training data: views, split, augmentation and backgrounds."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mcld_anim.core.errors import InputError
from mcld_anim.synthetic.backdrops import make_backgrounds, photo_backgrounds
from mcld_anim.synthetic.person import Person
from mcld_anim.synthetic.views import person_background
from mcld_anim.train.body_augment import BodyAugmentOptions, View, augment
from mcld_anim.train.views import PeopleViews

from .conftest import LAST_DEVELOPS


def test_people_are_split_and_never_mixed(people: Path) -> None:
    views = PeopleViews(people, LAST_DEVELOPS)
    assert (views.training, views.development, views.views) == ([0, 1], [2], 8)
    rng = np.random.default_rng(0)
    assert {views.draw_index(rng)[0] for _ in range(40)} == {0, 1}
    pictures, iuv = views.development_views(3)
    assert pictures.shape == iuv.shape == (3, 256, 256, 3)
    assert np.array_equal(pictures[1], views.view(2, 1)[0])


def test_views_from_behind_show_more_back_than_chest(people: Path) -> None:
    views = PeopleViews(people, LAST_DEVELOPS)
    shares = {}
    for person in views.training:
        for view in range(8):
            part = views.view(person, view)[1][..., 0]
            shares[person, view] = (part == 1).sum() - (part == 2).sum()
    found = views.from_behind()
    assert found
    assert all(shares[index] > 0 for index in found)
    assert all(shares[index] < 300 for index in shares if index not in found)  # seen on every fourth pixel only


def test_a_folder_without_shards_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="synth"):
        PeopleViews(tmp_path)


def test_silhouettes_are_what_differs_from_the_background(people: Path) -> None:
    """The ground truth is the renderer's own background, which the silhouette code does not know."""
    views = PeopleViews(people, LAST_DEVELOPS)
    for person in range(3):
        background = (person_background(Person.from_seed(40 + person), 256) * 255).astype(np.int16)
        for view in range(8):
            picture, iuv = views.view(person, view)
            truth = (np.abs(picture - background).max(-1) > 8) | (iuv[..., 0] > 0)
            found = views.silhouette(person, view)
            assert found[iuv[..., 0] > 0].all()
            assert (found & truth).sum() / (found | truth).sum() > 0.9


def test_labels_lie_on_their_picture(people: Path) -> None:
    """The augmented picture differs from a plain background exactly where the augmented labels show the person."""
    views, rng = PeopleViews(people, LAST_DEVELOPS), np.random.default_rng(3)
    options = BodyAugmentOptions(1.0, small=0.0, empty=0.0, hidden=0.0, backlight=0.0, stained=0.0, dressed=0.0)
    green = [np.full((384, 384, 3), (0, 255, 0), np.uint8)]
    agreements = []
    for _ in range(12):
        person, view = views.draw_index(rng)
        picture, iuv = views.view(person, view)
        seen = iuv[..., 0] > 0
        white = np.where(seen[..., None], np.uint8(255), picture)
        varied, labels = augment(View(white, iuv, seen), rng, options, green)
        assert varied.shape == (256, 256, 3)
        assert labels.shape == (256, 256, 3)
        assert set(np.unique(labels[..., 0])) <= set(np.unique(iuv[..., 0]))
        smooth = cv2.blur(varied, (3, 3)).astype(int)
        shown = np.ptp(smooth, axis=-1) < 60  # white under any light and noise; the rest is green
        inside = labels[..., 0] > 0
        agreements.append((shown & inside).sum() / max(1, (shown | inside).sum()))
    assert np.median(agreements) > 0.9


def test_an_empty_sample_has_no_person_left(people: Path) -> None:
    views, rng = PeopleViews(people, LAST_DEVELOPS), np.random.default_rng(0)
    picture, iuv = views.view(0, 0)
    options = BodyAugmentOptions(empty=1.0, hidden=0.0)
    black = [np.zeros((384, 384, 3), np.uint8)]
    varied, labels = augment(View(picture, iuv, views.silhouette(0, 0)), rng, options, black)
    assert not labels.any()
    assert varied.std((0, 1)).max() < 25


def test_a_companion_is_labelled_and_what_hides_people_is_not(people: Path) -> None:
    """On average over the same seeds, a person behind adds person pixels and occluders in front remove some."""
    views = PeopleViews(people, LAST_DEVELOPS)
    shown = View(*views.view(0, 0), views.silhouette(0, 0))
    other = View(*views.view(1, 1), views.silhouette(1, 1))
    black = [np.zeros((384, 384, 3), np.uint8)]

    def cells(companion: View | None, hidden: float) -> float:
        options = BodyAugmentOptions(empty=0.0, hidden=hidden, small=1.0)
        drawn = [augment(shown, np.random.default_rng(k), options, black, companion)[1] for k in range(96)]
        return float(np.mean([(labels[..., 0] > 0).mean() for labels in drawn]))

    alone = cells(None, 0.0)
    assert cells(other, 0.0) > 1.3 * alone
    assert 0.3 * alone < cells(None, 1.0) < 0.98 * alone


def test_stains_and_backlight_change_the_person_only(people: Path) -> None:
    views = PeopleViews(people, LAST_DEVELOPS)
    view = View(*views.view(0, 0), views.silhouette(0, 0))
    plain = [np.full((384, 384, 3), 200, np.uint8)]
    base = BodyAugmentOptions(replaced_background=1.0, empty=0.0, hidden=0.0, backlight=0.0, stained=0.0, dressed=0.0)

    def person_brightness(options: BodyAugmentOptions) -> float:
        """Brightness relative to the background of the same picture, whatever the camera did to both."""
        values = []
        for seed in range(24):
            picture, labels = augment(view, np.random.default_rng(seed), options, plain)
            inside = labels[..., 0] > 0
            away = ~cv2.dilate(inside.astype(np.uint8), np.ones((25, 25))).astype(bool)
            values.append(picture[inside].mean() - picture[away].mean())
        return float(np.median(values))

    assert person_brightness(dataclasses.replace(base, backlight=1.0)) < person_brightness(base) - 15
    picture, _ = augment(view, np.random.default_rng(2), base, plain)
    stained, _ = augment(view, np.random.default_rng(2), dataclasses.replace(base, stained=1.0), plain)
    assert np.abs(picture.astype(int) - stained).max() > 20


def test_backgrounds_depend_on_their_seed_alone() -> None:
    first, again, other = make_backgrounds(6, 1), make_backgrounds(6, 1), make_backgrounds(6, 2)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_photo_backgrounds_are_cuts_of_every_picture(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name, colour in (("deep/red.png", (255, 0, 0)), ("blue.jpg", (0, 0, 255))):
        Image.new("RGB", (90, 60), colour).save(tmp_path / name, quality=100)
    cuts = photo_backgrounds(tmp_path, 5, 1)
    assert [cut.shape for cut in cuts] == [(384, 384, 3)] * 5
    colours = {tuple((cut.mean((0, 1)) > 128).tolist()) for cut in cuts}
    assert colours == {(True, False, False), (False, False, True)}
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"torn\.png"):
        photo_backgrounds(tmp_path, 5, 1)
    with pytest.raises(InputError, match="holds no picture"):
        photo_backgrounds(tmp_path / "deep" / "none", 5, 1)
