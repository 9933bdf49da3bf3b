"""The photo's pixels in other poses: where it shows them they are its own, and elsewhere they are marked as guesses."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mcld_anim.body.draw import BodyPainter, DrawnBody
from mcld_anim.body.fit import FOCAL, BodyMotion, BodyShape
from mcld_anim.body.rig import load_body
from mcld_anim.body.skeleton import CONTROLS, SHAPES
from mcld_anim.core.arrays import HEAD_PARTS
from mcld_anim.source.person_colours import CROWN
from mcld_anim.source.photo_warp import EDGE, JAW, LIGHT_FROM_ABOVE, ROUNDNESS, PhotoWarp
from mcld_anim.source.whole_atlas import DEEPEST_FOLD

SIZE = (240, 180)
UPPER_ARMS, LOWER_ARMS = (15, 16, 17, 18), (19, 20, 21, 22)
SKIN, HAIR = (200, 150, 120), (90, 60, 20)
JAW_AND_NECK = (0.02, JAW - 0.01), (JAW + 0.01, 0.2)
"""Metres down from the eyes."""


def standing(**turns: tuple[float, float, float]) -> BodyMotion:
    """The mean body in one frame; `turns`: rotation vectors of controls."""
    vectors = np.zeros((len(CONTROLS), 3))
    for name, vector in turns.items():
        vectors[CONTROLS.index(name.replace("_", "."))] = vector
    controls = Rotation.from_rotvec(vectors).as_matrix()[None].astype(np.float32)
    shape, camera = BodyShape(np.zeros(SHAPES), 1.0), np.array([[0.0, 3.2, 0.0]], np.float32)
    return BodyMotion(shape, controls, camera, FOCAL * max(SIZE), SIZE)


@pytest.fixture(scope="module")
def painter() -> BodyPainter:
    return BodyPainter(standing().shape)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Colours that tell every pixel's place."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([x, y, (x + y) // 2], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def warp(painter: BodyPainter, picture: np.ndarray) -> PhotoWarp:
    drawn = painter.drawn(standing(), 0)
    return PhotoWarp.of(picture, drawn.person.astype(np.float32), drawn)


def without_forearms(drawn: DrawnBody) -> np.ndarray:
    """The matte of a photo in which forearms and hands are hidden."""
    hidden = drawn.whole(np.isin(drawn.iuv[drawn.box][..., 0], (3, 4, *LOWER_ARMS)))
    return (drawn.person & ~hidden).astype(np.float32)


def test_in_its_own_pose_the_photo_comes_back(warp: PhotoWarp, painter: BodyPainter, picture: np.ndarray) -> None:
    layer = warp.layer(painter.drawn(standing(), 0))
    made = layer.before(np.zeros_like(picture))
    known = layer.drawn.whole(layer.validity) * layer.drawn.whole(layer.drawn.alpha) > 0.99
    assert known.sum() > 0.3 * layer.drawn.person.sum()
    assert np.abs(made[known].astype(int) - picture[known]).max() <= 2
    assert not made[~np.pad(layer.drawn.person, 4)[8:, 4:-4] & ~layer.drawn.person][:5].any()


def test_pixels_move_with_the_body(warp: PhotoWarp, painter: BodyPainter, picture: np.ndarray) -> None:
    nearer = replace(standing(), camera=np.array([[0.3, 3.2, 0.0]], np.float32))
    layer = warp.layer(painter.drawn(nearer, 0))
    known = layer.validity * layer.drawn.inside > 0.99
    rows, columns = np.nonzero(known)
    shift = nearer.focal * 0.3 / 3.2
    expected = columns + layer.drawn.corner[0] - shift
    assert np.abs(layer.colours[known][:, 0] - expected).mean() < 1.5
    assert np.abs(layer.colours[known][:, 1] - (rows + layer.drawn.corner[1])).mean() < 1.0


def test_a_back_is_a_guess(warp: PhotoWarp, painter: BodyPainter) -> None:
    layer = warp.layer(painter.drawn(standing(root=(0, 0, np.pi)), 0))
    assert layer.validity[layer.drawn.inside].mean() < 0.06
    assert (layer.validity[~layer.drawn.inside] == 1).all()
    assert (layer.colours[layer.drawn.inside].max(-1) > 0).all()  # but no hole


def test_a_back_does_not_show_the_badge_of_the_front(painter: BodyPainter) -> None:
    drawn = painter.drawn(standing(), 0)
    picture = np.full((*SIZE, 3), (200, 60, 60), np.uint8)
    chest = drawn.whole(drawn.inside & (drawn.iuv[drawn.box][..., 0] == 2))
    row, column = (int(np.median(places)) for places in np.nonzero(chest))
    badge = np.s_[row - 5 : row + 5, column - 5 : column + 5]
    picture[badge] = (40, 60, 250)
    warp = PhotoWarp.of(picture, drawn.person.astype(np.float32), drawn)
    front = warp.layer(drawn).before(np.zeros_like(picture))
    behind = painter.drawn(standing(root=(0, 0, np.pi)), 0)
    back = warp.layer(behind).before(np.zeros_like(picture))
    assert (front[badge][..., 2] > 200).mean() > 0.8
    torso = behind.whole(behind.inside & (behind.iuv[behind.box][..., 0] == 1))
    assert back[torso][:, 2].max() < 180
    assert np.abs(np.median(back[torso], 0) - (200, 60, 60)).max() < 12


def test_a_forearm_that_is_not_seen_has_the_usual_colour_of_its_sleeve(painter: BodyPainter) -> None:
    """Not a mean with the badge on it."""
    drawn = painter.drawn(standing(), 0)
    picture = np.full((*SIZE, 3), (230, 90, 40), np.uint8)
    upper = drawn.whole(drawn.inside & np.isin(drawn.iuv[drawn.box][..., 0], UPPER_ARMS))
    rows = np.flatnonzero(upper.any(1))
    upper[rows[0] : rows[len(rows) * 2 // 3]] = False
    picture[upper] = (20, 20, 200)  # a third of the sleeve
    warp = PhotoWarp.of(picture, without_forearms(drawn), drawn)
    for part in LOWER_ARMS:
        forearm = warp.atlas[part - 1].reshape(-1, 3).astype(int)
        assert np.abs(np.median(forearm, 0) - (230, 90, 40)).max() <= 3, part
        assert np.abs(forearm - (230, 90, 40)).max() <= DEEPEST_FOLD + 1, part


def test_a_forearm_that_is_not_seen_has_the_folds_of_its_sleeve(painter: BodyPainter) -> None:
    drawn = painter.drawn(standing(), 0)
    picture = np.full((*SIZE, 3), (130, 90, 60), np.uint8)
    picture[::6] -= 16
    picture[1::6] -= 16
    warp = PhotoWarp.of(picture, without_forearms(drawn), drawn)
    assert warp.painted[[part - 1 for part in LOWER_ARMS]].all()
    for part in (19, 20):  # the front, as the photo shows it of the upper arms
        assert 2 < warp.atlas[part - 1].std((0, 1)).min() < 10, part


def test_a_pin_on_one_arm_is_not_on_the_other(painter: BodyPainter) -> None:
    """Symmetry repeats what is seen, but not everything."""
    drawn = painter.drawn(standing(), 0)
    picture = np.full((*SIZE, 3), (60, 70, 90), np.uint8)
    rows, columns = np.nonzero(drawn.whole(drawn.inside & (drawn.iuv[drawn.box][..., 0] == 15)))
    row, column = int(np.median(rows)), int(np.median(columns))
    picture[row - 1 : row + 2, column - 1 : column + 2] = (250, 250, 90)
    alpha = drawn.person.astype(np.float32)
    alpha[drawn.whole(drawn.inside & np.isin(drawn.iuv[drawn.box][..., 0], (16, 18)))] = 0  # the other arm is hidden
    atlas = PhotoWarp.of(picture, alpha, drawn).atlas
    assert atlas[15 - 1].max() > 200
    for part in (16, 17, 18):
        assert np.abs(atlas[part - 1].astype(int) - (60, 70, 90)).max() < 40, part


def test_what_is_not_the_persons_is_not_sampled(painter: BodyPainter, picture: np.ndarray) -> None:
    drawn = painter.drawn(standing(), 0)
    alpha = drawn.person.astype(np.float32)
    alpha[:, : SIZE[1] // 2] = 0  # something stands before the body's right half
    layer = PhotoWarp.of(picture, alpha, drawn).layer(drawn)
    right, left = (layer.validity * layer.drawn.inside)[:, :60], (layer.validity * layer.drawn.inside)[:, 80:]
    assert right.max() == 0
    assert left.max() == 1


def test_hands_that_are_not_seen_have_the_colour_of_the_face(painter: BodyPainter) -> None:
    drawn = painter.drawn(standing(), 0, "LR")
    picture = np.full((*SIZE, 3), 30, np.uint8)
    head = np.isin(drawn.iuv[..., 0], [23, 24])
    picture[head] = SKIN
    layer = PhotoWarp.of(picture, drawn.person.astype(np.float32), drawn).layer(painter.drawn(standing(), 0))
    hands = np.isin(layer.drawn.iuv[layer.drawn.box][..., 0], [3, 4])
    assert hands.sum() > 20
    assert np.abs(layer.colours[hands] - SKIN).mean() < 25


def test_the_back_of_the_head_has_the_colour_of_its_top(painter: BodyPainter) -> None:
    near = np.array([[0.0, 1.0, -0.7]], np.float32)  # a portrait
    drawn = painter.drawn(replace(standing(), camera=near), 0)
    head = np.isin(drawn.iuv[..., 0], [23, 24])
    rows = np.nonzero(head)[0]
    picture = np.full((*SIZE, 3), 30, np.uint8)
    picture[head] = SKIN
    top = head & (np.arange(SIZE[0])[:, None] < rows.min() + 0.35 * np.ptp(rows))
    picture[top] = HAIR
    warp = PhotoWarp.of(picture, drawn.person.astype(np.float32), drawn)
    layer = warp.layer(painter.drawn(replace(standing(root=(0, 0, np.pi)), camera=near), 0))
    back = np.isin(layer.drawn.iuv[layer.drawn.box][..., 0], [23, 24])
    rows = np.nonzero(back)[0]
    upper = back & (np.arange(back.shape[0])[:, None] < rows.min() + 0.5 * np.ptp(rows))
    assert upper.sum() > 500
    assert np.abs(np.median(layer.colours[upper], axis=0) - HAIR).max() < 12


def test_a_hand_before_the_chest_leaves_neither_fingers_on_it_nor_cloth_on_itself(painter: BodyPainter) -> None:
    crossed = standing(upperarm_L=(-0.6, 0.9, 0.0), lowerarm_L=(0.0, 0.0, 1.9))
    crossed = replace(crossed, camera=np.array([[0.0, 1.5, -0.4]], np.float32))  # a portrait
    drawn = painter.drawn(crossed, 0)
    parts = drawn.iuv[..., 0]
    cloth = (20, 30, 60)
    picture = np.full((*SIZE, 3), cloth, np.uint8)
    picture[np.isin(parts, [23, 24])] = SKIN
    rows, columns = np.nonzero(parts == 4)
    assert len(rows) > 500
    shift = 10  # the photo shows the hand beside the place where the fit has it
    picture[rows + shift, columns + shift] = SKIN
    layer = PhotoWarp.of(picture, drawn.person.astype(np.float32), drawn).layer(drawn)
    shown = layer.drawn.iuv[layer.drawn.box][..., 0]
    known = layer.validity > 0.9
    skin_like = np.abs(layer.colours - SKIN).max(-1) < 30
    torso = np.isin(shown, [1, 2])
    assert not (torso & known & skin_like).any()
    hand = shown == 4
    assert np.abs(layer.colours[hand] - SKIN).max(-1).mean() < 40  # 117 if its photo is taken as it is


@pytest.mark.parametrize("hands", ["under cloth", "in gloves"])
def test_a_hand_under_cloth_is_no_glove(painter: BodyPainter, hands: str) -> None:
    drawn = painter.drawn(standing(), 0)
    parts = drawn.iuv[..., 0]
    picture = np.full((*SIZE, 3), (40, 50, 90), np.uint8)
    picture[np.isin(parts, HEAD_PARTS)] = SKIN
    shown = np.isin(parts, [3, 4])
    if hands == "in gloves":
        picture[shown] = (120, 20, 30)
    layer = PhotoWarp.of(picture, drawn.person.astype(np.float32), drawn).layer(drawn)
    colours = layer.colours[shown[drawn.box]]
    assert np.abs(np.median(colours, axis=0) - (SKIN if hands == "under cloth" else (120, 20, 30))).max() < 25


@pytest.mark.parametrize("legs", ["clothed", "bare", "of the colour of skin in haze"])
def test_thighs_beside_hands_stay_as_they_are(painter: BodyPainter, legs: str) -> None:
    """They may look like skin: bare ones are, and haze makes everything alike."""
    drawn = painter.drawn(standing(upperarm_L=(0.0, 0.55, 0.0), upperarm_R=(0.0, -0.55, 0.0)), 0)
    parts = drawn.iuv[..., 0]
    thighs = np.isin(parts, [7, 8, 9, 10])
    picture = np.full((*SIZE, 3), (40, 50, 90), np.uint8)
    picture[np.isin(parts, [3, 4, *HEAD_PARTS])] = SKIN
    picture[thighs] = {"clothed": (40, 50, 90), "bare": SKIN}.get(legs, np.array(SKIN) - 25)
    warp = PhotoWarp.of(picture, drawn.person.astype(np.float32), drawn)
    assert (cv2.dilate(np.isin(parts, [3, 4]).astype(np.uint8), np.ones((17, 17))) > 0)[thighs].mean() > 0.02
    assert warp.own[thighs].mean() > 0.98


@pytest.mark.parametrize("forearm", ["clothed", "bare"])
def test_a_hand_that_lies_on_a_sleeve_does_not_stay_there(painter: BodyPainter, forearm: str) -> None:
    """As where arms are crossed. Above a bare forearm the skin may be the arm's own."""
    drawn = painter.drawn(standing(), 0)
    parts = drawn.iuv[..., 0]
    arm = np.isin(parts, UPPER_ARMS)
    rows = np.flatnonzero(arm.any(1))
    picture = np.full((*SIZE, 3), (40, 50, 90), np.uint8)
    picture[np.isin(parts, HEAD_PARTS) | (np.isin(parts, LOWER_ARMS) & (forearm == "bare"))] = SKIN
    hand = arm.copy()
    hand[: rows[len(rows) // 3]] = hand[rows[len(rows) * 2 // 3] :] = False
    picture[hand] = SKIN
    made = PhotoWarp.of(picture, drawn.person.astype(np.float32), drawn).layer(drawn).before(np.zeros_like(picture))
    stays = (np.abs(made[hand].astype(int) - SKIN).max(-1) < 20).mean()
    assert stays > 0.5 if forearm == "bare" else stays == 0


def test_light_comes_from_above(painter: BodyPainter) -> None:
    grey = np.full((*SIZE, 3), 120, np.uint8)
    drawn = painter.drawn(standing(), 0)
    warp = PhotoWarp.of(grey, drawn.person.astype(np.float32), drawn)
    same = warp.layer(drawn)
    known = same.validity * drawn.inside > 0.99
    assert np.abs(same.lit().colours[known] - 120).max() < 1  # in its own pose nothing changes
    bent = warp.layer(painter.drawn(standing(root=(-1.0, 0, 0)), 0))  # the chest turns down
    known, turned = bent.validity * bent.drawn.inside > 0.99, bent.normals[..., 1] - bent.normals[..., 2]
    assert known.any()
    assert np.allclose(np.log(bent.lit().colours[known][:, 0] / 120), LIGHT_FROM_ABOVE * turned[known], atol=0.02)
    outside = bent.lit().colours[~bent.drawn.inside]
    assert (outside[bent.colours[~bent.drawn.inside] > 100] > 60).all()  # no black rim


def test_what_is_painted_gets_its_roundness_from_light(painter: BodyPainter) -> None:
    grey = np.full((*SIZE, 3), 120, np.uint8)
    drawn = painter.drawn(standing(), 0)
    alpha = drawn.person.astype(np.float32)
    alpha[np.isin(drawn.iuv[..., 0], (8, 10, 12, 14))] = 0  # something stands before the left leg
    layer = PhotoWarp.of(grey, alpha, drawn).layer(drawn)
    leg = np.isin(drawn.iuv[drawn.box][..., 0], (10, 14)) & layer.painted
    assert leg.sum() > 100
    assert not layer.painted[np.isin(drawn.iuv[drawn.box][..., 0], (2, 9, 13))].any()
    edge_on = 1 + layer.normals[..., 0]
    factor = layer.lit().colours[leg][:, 0] / layer.colours[leg][:, 0]
    dark, bright = factor[edge_on[leg] > 0.5], factor[edge_on[leg] < 0.1]
    assert dark.mean() < bright.mean() * np.exp(-0.3 * ROUNDNESS)


def test_what_is_behind_a_jaw_does_not_stick_to_it(painter: BodyPainter) -> None:
    """Where the body is drawn a little wider than the photo's jaw, its edge shows the background; a collar stays."""
    drawn, body = painter.drawn(standing(), 0), load_body()
    below = (body.joint("eye.L")[2] - body.mean_vertices[:, 2])[body.faces].mean(1)
    head = np.isin(drawn.iuv[drawn.box][..., 0], HEAD_PARTS)
    edge = head & (drawn.facing < EDGE - 0.05)[drawn.triangle]
    jaw, neck = (edge & (below > low)[drawn.triangle] & (below < high)[drawn.triangle] for low, high in JAW_AND_NECK)
    picture = np.zeros((*SIZE, 3), np.uint8)
    shown = picture[drawn.box]
    shown[head] = SKIN
    shown[head & (below < -CROWN)[drawn.triangle]] = HAIR
    shown[jaw], shown[neck] = (40, 160, 90), (245, 245, 250)
    warp = PhotoWarp.of(picture, drawn.person.astype(np.float32), drawn)
    own = warp.own[drawn.box]
    assert min(np.count_nonzero(jaw), np.count_nonzero(neck)) > 5
    assert not own[jaw].any()
    assert own[neck].mean() > 0.9
    assert own[head & ~edge].mean() > 0.9
    side = warp.layer(painter.drawn(standing(root=(0, 0, 1.2)), 0))
    colours = side.colours[np.isin(side.drawn.iuv[side.drawn.box][..., 0], HEAD_PARTS)]
    assert (colours[:, 1] < colours[:, 0] + 10).all()  # nothing is green
