"""Framing of one person's pictures."""

import numpy as np
import pytest

from mcld_anim.synthetic.faces import render_face_views
from mcld_anim.synthetic.person import Person
from mcld_anim.synthetic.samples import BEATS_PER_MINUTE, SOUND_RATE, beat_sound, sample_photo
from mcld_anim.synthetic.scene import BACKGROUND_KINDS, draw_background
from mcld_anim.synthetic.views import draw_shots, render_views


@pytest.mark.parametrize("seed", [0, 5, 12])
def test_the_first_view_shows_the_whole_body_well_filled(seed):
    rows, columns = np.nonzero(render_views(Person.from_seed(seed), 1, 128)[0].iuv[..., 0])
    assert rows.min() > 0
    assert rows.max() < 127
    assert columns.min() > 0
    assert columns.max() < 127
    assert 0.78 < (rows.max() - rows.min() + 1) / 128 < 0.97


def test_views_of_a_person_have_one_background():
    """A frame's upper corners are hardly ever covered: the median over views is the background."""
    pictures = np.array([view.picture for view in render_views(Person.from_seed(4), 6, 48)]).astype(float)
    corner = pictures[:, :5, :5]
    assert np.abs(corner - np.median(corner, 0)).max(axis=(1, 2, 3)).min() == 0
    assert (np.abs(corner - np.median(corner, 0)).max(axis=(1, 2, 3)) == 0).sum() >= 4


def test_most_views_are_frontal():
    turns = [abs(shot.pose["turn"]) for seed in range(8) for shot in draw_shots(Person.from_seed(seed), 2, 10)]
    assert 0.55 < np.mean(np.array(turns) < 1.0) < 0.95
    assert max(turns) > 2


def test_face_views_show_a_large_head():
    pictures, iuvs = render_face_views(Person.from_seed(2), np.random.default_rng(0), 4, 64)
    assert pictures.shape == iuvs.shape == (4, 64, 64, 3)
    head = np.isin(iuvs[..., 0], (23, 24)).mean((1, 2))
    assert (head > 0.2).all()
    again, _ = render_face_views(Person.from_seed(2), np.random.default_rng(0), 4, 64)
    assert np.array_equal(pictures, again)


@pytest.mark.parametrize("kind", BACKGROUND_KINDS)
def test_backgrounds_are_in_range(kind):
    for seed in range(5):
        background = draw_background(np.random.default_rng(seed), 32, kind)
        assert background.shape == (32, 32, 3)
        assert 0 <= background.min() <= background.max() <= 1
    assert kind == "plain" or np.ptp(background, axis=(0, 1)).max() > 0


def test_the_sample_photo_is_a_person_before_a_light_wall():
    photo = sample_photo(size=96)
    assert photo.shape == (96, 96, 3)
    assert photo[0].min() > 200
    assert photo[30:80, 40:56].std() > 20


def test_the_beat_sound_beats():
    sound = beat_sound(2.0)
    assert sound.shape == (2, 2 * SOUND_RATE)
    assert np.abs(sound).max() <= 1
    beat = round(60 / BEATS_PER_MINUTE * SOUND_RATE)
    loud = [np.abs(sound[0, k * beat : k * beat + 4000]).mean() for k in range(4)]
    quiet = [np.abs(sound[0, k * beat + beat * 3 // 8 : k * beat + beat // 2 - 500]).mean() for k in range(4)]
    assert min(loud) > 1.5 * max(quiet)
