"""BlazePose's networks on a photograph, on rendered people and on pictures of nobody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from mcld_anim.pose.blazepose import CROP_SIDE, LANDMARKS, MIRRORED, BlazePose, BodyLook, Region
from mcld_anim.synthetic.dance import dance_pose
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import Light, View

SWAPPED = list(MIRRORED[:LANDMARKS])
GREY = 0.72


@pytest.fixture(scope="module")
def networks(blazepose_home: Path) -> BlazePose:
    return BlazePose(blazepose_home / "blazepose")


@pytest.fixture(scope="module")
def portrait(networks: BlazePose) -> list[BodyLook]:
    return networks.find(data.astronaut())


def rendered(seed: int, seconds: float, size: int = 256, zoom: float = 0.8) -> Rendering:
    """A person before a grey wall."""
    wall = np.full((size, size, 3), GREY, np.float32)
    return render(Person.from_seed(seed), dance_pose(seconds), View(zoom=zoom), Light(), wall, size, supersample=1)


def head_of(iuv: np.ndarray) -> np.ndarray:
    """x, y of the middle of the head's pixels."""
    rows, columns = np.nonzero(iuv[..., 0] >= 23)
    return np.array([columns.mean(), rows.mean()])


def test_the_mirror_swaps_left_and_right() -> None:
    assert sorted(MIRRORED) == list(range(LANDMARKS + 6))
    assert [MIRRORED[other] for other in MIRRORED] == list(range(LANDMARKS + 6))
    assert [MIRRORED[k] for k in (0, 2, 7, 9, 11, 15, 23, 31)] == [0, 5, 8, 10, 12, 16, 24, 32]


def test_a_region_is_turned_upright_and_comes_back() -> None:
    upright = Region.around(np.array([100.0, 80.0]), np.array([100.0, 40.0]))
    assert (upright.side, upright.angle) == (100, 0)
    lying = Region.around(np.array([100.0, 80.0]), np.array([140.0, 80.0]))  # the head points to the right
    assert lying.angle == pytest.approx(np.pi / 2)
    head = lying.to_crop() @ [140, 80, 1]
    assert np.allclose(head, [CROP_SIDE / 2, CROP_SIDE / 2 - 40 * CROP_SIDE / 100])
    mask = np.zeros((CROP_SIDE, CROP_SIDE), np.uint8)
    mask[: CROP_SIDE // 2] = 255  # the upper half of the crop lies to the right of the hips
    matte = lying.matte(mask, (160, 200))
    assert matte.shape == (160, 200)
    assert (matte[80, 110], matte[80, 90], matte[80, 190]) == (255, 0, 0)


def test_a_portrait_shows_one_person_whose_face_is_in_its_place(portrait: list[BodyLook]) -> None:
    (look,) = portrait
    assert look.presence > 0.9
    assert np.linalg.norm(look.xy[0] - [222, 122]) < 12  # the nose
    assert look.xy[7, 0] > look.xy[0, 0] > look.xy[8, 0]  # she looks at us: her left ear is on the right
    assert look.xy[11, 0] > 260
    assert look.xy[12, 0] < 160
    assert look.visibility[[0, 11, 12]].min() > 0.9
    assert look.visibility[25:].max() < 0.3  # her legs are not in the picture
    matte = look.matte((512, 512))
    assert matte[125, 220] > 200  # her face
    assert matte[20, 20] < 127  # the flag


def test_the_mirrored_portrait_gives_mirrored_landmarks(networks: BlazePose, portrait: list[BodyLook]) -> None:
    (other,) = networks.find(np.ascontiguousarray(data.astronaut()[:, ::-1]))
    back = other.xy[SWAPPED] * [-1, 1] + [512, 0]
    clear = portrait[0].visibility > 0.95
    assert clear.sum() >= 13
    assert np.linalg.norm(back - portrait[0].xy, axis=1)[clear].max() < 16  # 3 % of the picture


@pytest.mark.parametrize("picture", ["coffee", "coins", "brick"])
def test_nobody_is_found_where_nobody_is(networks: BlazePose, picture: str) -> None:
    shown = getattr(data, picture)()
    colours = shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, -1)
    assert networks.find(np.ascontiguousarray(colours)) == []


def test_left_stays_left_in_the_mirror(networks: BlazePose) -> None:
    made = rendered(12, 0.7)
    (look,) = networks.find(made.picture)
    (other,) = networks.find(np.ascontiguousarray(made.picture[:, ::-1]))
    assert np.linalg.norm(other.xy[SWAPPED] * [-1, 1] + [256, 0] - look.xy, axis=1).mean() < 3
    assert np.abs(other.world[SWAPPED] * [-1, 1, 1] - look.world).mean() < 0.03
    for one in (look, other):
        assert (one.xy[[11, 23], 0] > one.xy[[12, 24], 0]).all()  # the left side is on the right of the picture
        assert (one.world[[11, 23], 0] > one.world[[12, 24], 0]).all()


def test_landmarks_in_space_are_metres_with_up_and_away(networks: BlazePose) -> None:
    (look,) = networks.find(rendered(31, 0.1).picture)
    assert np.abs(look.world[23] + look.world[24]).max() < 0.1  # from the middle of the hips
    head, feet = look.world[0], look.world[[27, 28]].mean(0)
    assert 1.1 < head[2] - feet[2] < 1.8
    assert head[2] > look.world[[11, 12], 2].mean() > look.world[[25, 26], 2].mean() > feet[2]
    assert head[1] < look.world[[7, 8], 1].mean()  # the nose is nearer than the ears


def test_a_rendered_person_is_where_the_exact_iuv_shows_it(networks: BlazePose) -> None:
    made = rendered(31, 0.4, 384)
    (look,) = networks.find(made.picture)
    assert np.linalg.norm(look.xy[:11].mean(0) - head_of(made.iuv)) < 15
    person = made.iuv[..., 0] > 0
    inside = look.matte((384, 384)) > 127
    assert (inside & person).sum() / (inside | person).sum() > 0.8
    rows, columns = look.xy[[11, 12, 23, 24, 25, 26]].round().astype(int).T[::-1]
    assert person[rows, columns].all()
    # A crop can be turned: somebody who lies is looked at upright.
    (lying,) = networks.find(np.ascontiguousarray(np.rot90(made.picture, -1)))
    turned = np.stack([383 - look.xy[:, 1], look.xy[:, 0]], 1)
    assert np.linalg.norm(lying.xy - turned, axis=1).mean() < 8
    assert np.abs(np.stack([lying.world[:, 2], -lying.world[:, 0]], 1) - look.world[:, [0, 2]] * [-1, -1]).mean() < 0.1


def test_somebody_small_is_found_in_a_tile(networks: BlazePose) -> None:
    made = rendered(31, 0.2, 150, zoom=0.95)
    large = np.full((900, 1200, 3), int(GREY * 255 + 0.5), np.uint8)
    large[400:550, 700:850] = made.picture
    (look,) = networks.find(large)
    assert np.linalg.norm(look.xy[:11].mean(0) - head_of(made.iuv) - [700, 400]) < 8
    assert np.ptp(look.xy[:, 1]) < 150


def test_two_people_are_two_and_the_larger_is_first(networks: BlazePose) -> None:
    left, right = rendered(31, 0.2), rendered(40, 0.3)
    smaller = cv2.resize(left.picture, (200, 200), interpolation=cv2.INTER_AREA)
    both = np.full((256, 512, 3), int(GREY * 255 + 0.5), np.uint8)
    both[40:240, 20:220], both[:, 256:] = smaller, right.picture
    found = networks.find(both)
    assert [look.xy[0, 0] > 256 for look in found] == [True, False]
    assert len({look.following.side for look in found}) == 2
    assert found[0].following.side > found[1].following.side


def test_a_person_is_followed_by_their_own_region(networks: BlazePose) -> None:
    (first,) = networks.find(rendered(31, 0.2).picture)
    later = rendered(31, 0.3)
    look = networks.look(later.picture, first.following)
    assert look.presence > 0.9
    (found,) = networks.find(later.picture)
    assert np.linalg.norm(look.xy - found.xy, axis=1).mean() < 4
    nowhere = networks.look(np.full((256, 256, 3), 184, np.uint8), first.following)
    assert nowhere.presence < 0.5


@pytest.mark.parametrize("size", [180, 700, 1500])  # of whose crops are made larger, smaller, and smaller by steps
def test_the_same_person_in_the_mirror_is_at_the_mirrored_place(networks: BlazePose, size: int) -> None:
    picture = cv2.resize(rendered(12, 0.7).picture, (size, size), interpolation=cv2.INTER_LINEAR)
    (found,) = networks.find(picture)
    region = replace(found.following, angle=0.1)
    there = replace(region, centre=region.centre * [-1, 1] + [size, 0], angle=-0.1)
    look, other = networks.look(picture, region), networks.look(np.ascontiguousarray(picture[:, ::-1]), there)
    pixel = region.side / CROP_SIDE  # of the crop
    assert np.abs(other.xy[SWAPPED] * [-1, 1] + [size, 0] - look.xy).max() < 0.1 * pixel
    matte, mirrored = (one.matte((size, size)).astype(float) for one in (look, other))
    assert np.abs(matte - mirrored[:, ::-1]).mean() < 0.5


def test_landmarks_of_a_shifted_picture_are_shifted(networks: BlazePose) -> None:
    picture = cv2.resize(rendered(12, 0.7).picture, (1200, 1200), interpolation=cv2.INTER_AREA)
    moved = cv2.copyMakeBorder(picture, 37, 0, 53, 0, cv2.BORDER_CONSTANT)
    (look,) = networks.find(picture)
    other = networks.look(moved, replace(look.region, centre=look.region.centre + np.array([53, 37])))
    assert look.region.side > 4 * CROP_SIDE  # which is made smaller first, by steps that begin elsewhere
    assert np.abs(other.xy - look.xy - [53, 37]).mean() < 1


@pytest.mark.parametrize("degrees", [-60.0, 60.0])
def test_somebody_who_turned_far_since_the_frame_before_is_still_seen(networks: BlazePose, degrees: float) -> None:
    picture = rendered(12, 0.7).picture
    (found,) = networks.find(picture)
    centre = found.following.centre
    turn = cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), degrees, 1.0)
    later = cv2.warpAffine(picture, turn, (256, 256), borderMode=cv2.BORDER_REPLICATE)
    region = networks.turned(later, found.following)
    assert region is not None
    look = networks.look(later, region)
    limbs = [11, 12, 23, 24, 25, 26]
    assert np.abs(look.xy - (found.xy @ turn[:, :2].T + turn[:, 2]))[limbs].mean() < 5
    assert networks.turned(np.full((256, 256, 3), 184, np.uint8), found.following) is None


@pytest.mark.parametrize("side", [200.0, 600.0, 1500.0])
def test_beyond_the_picture_is_nobody(networks: BlazePose, side: float) -> None:
    picture = np.full((300, 400, 3), 184, np.uint8)
    for centre in ((-2000.0, 150.0), (200.0, 3000.0), (5000.0, 5000.0)):
        assert networks.look(picture, Region(np.array(centre), side, 0.3)).presence < 0.5


def test_more_looks_tell_what_they_gain_over_a_single_one(networks: BlazePose) -> None:
    made = rendered(12, 0.7)
    (found,) = networks.find(made.picture)
    thorough, single = (networks.look(made.picture, found.following, lambda look, e=e: e) for e in (False, True))
    assert np.array_equal(networks.look(made.picture, found.following).values, thorough.values)
    assert single.gain is None
    assert thorough.gain is not None
    assert np.allclose(single.values + thorough.gain, thorough.values)
    for gained, least in ((thorough.gain[:, :2], 0.1), (thorough.gain[:, 3:], 0.005)):  # pixels; metres
        assert np.abs(gained).max() > least


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, blazepose_home: Path) -> None:
    from mcld_anim.core.errors import WeightsError
    from mcld_anim.pose.body_backend import load_body_backend

    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match="models pull blazepose"):
        load_body_backend()
    monkeypatch.setenv("MCLD_ANIM_HOME", str(blazepose_home))
    assert load_body_backend().name == "body"


def test_sides_do_not_change_from_one_frame_to_the_next(portrait: list[BodyLook]) -> None:
    look = replace(portrait[0], xy=portrait[0].xy.astype(float))
    exchanged = replace(look, xy=look.xy[SWAPPED], visibility=look.visibility[SWAPPED], world=look.world[SWAPPED])
    moved = look.xy + np.array([6.0, -4.0])
    back = exchanged.continuing(moved)
    assert np.array_equal(back.xy, look.xy)
    assert np.array_equal(back.world, look.world)
    assert np.array_equal(back.visibility, look.visibility)
    assert look.continuing(moved) is look
    elsewhere = moved + 0.5 * np.ptp(look.xy[:, 1])  # everything is far from there: no exchange helps
    assert look.continuing(elsewhere) is look
