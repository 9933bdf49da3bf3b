"""People: the same bytes for the same seed, exact IUV, whole bodies."""

import numpy as np
import pytest

from mcld_anim.body.rig import load_body
from mcld_anim.core.errors import UsageError
from mcld_anim.synthetic.identity import (
    EVALUATION_SHAPES,
    FIRST_EVALUATION_SEED,
    HAIR_STYLES,
    identity_from_seed,
)
from mcld_anim.synthetic.motion import ARMS_DOWN, Pose
from mcld_anim.synthetic.person import Person, draw_iuv, render
from mcld_anim.synthetic.scene import Light, View

GREY = np.full((96, 96, 3), 0.5, np.float32)
STANDING = Pose({"arm_raise.L": ARMS_DOWN, "arm_raise.R": ARMS_DOWN})
SKIRT_SEED = next(seed for seed in range(100) if identity_from_seed(seed).outfit.kind != "trousers")


def test_the_same_seed_gives_the_same_bytes():
    first = render(Person.from_seed(3), STANDING, View(), Light(), GREY, 96)
    again = render(Person.from_seed(3), STANDING, View(), Light(), GREY, 96)
    other = render(Person.from_seed(4), STANDING, View(), Light(), GREY, 96)
    assert first.picture.tobytes() == again.picture.tobytes()
    assert first.iuv.tobytes() == again.iuv.tobytes()
    assert first.picture.tobytes() != other.picture.tobytes()


@pytest.mark.parametrize("turn", [0.0, np.pi, 1.3])
def test_iuv_is_that_of_the_nearest_surface_at_the_pixel(turn):
    """The ray through a pixel's centre is intersected with every triangle in turn, for pixels all over the body."""
    body, size, view = load_body(), 128, View()
    vertices = Person.from_seed(7).posed(STANDING.changed(turn=turn))
    iuv = draw_iuv(vertices, view, size)
    corner = view.project(vertices[: len(body.mean_vertices)], size)[body.faces].astype(float)
    first, second = corner[:, 1, :2] - corner[:, 0, :2], corner[:, 2, :2] - corner[:, 0, :2]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    pixels = np.argwhere(iuv[..., 0] > 0)
    chosen = pixels[np.random.default_rng(0).permutation(len(pixels))[:150]]
    seen_parts, wrong = set(), 0
    for row, column in chosen:
        offset = (column + 0.5, row + 0.5) - corner[:, 0, :2]
        with np.errstate(divide="ignore", invalid="ignore"):
            beta = (offset[:, 0] * second[:, 1] - offset[:, 1] * second[:, 0]) / area
            gamma = (first[:, 0] * offset[:, 1] - first[:, 1] * offset[:, 0]) / area
        weight = np.stack([1 - beta - gamma, beta, gamma], 1)
        hit = np.flatnonzero((weight >= 0).all(1) & (area < 0))
        nearest = hit[(weight[hit] * corner[hit, :, 2]).sum(1).argmin()]
        expected = np.append(body.part[nearest], weight[nearest] @ body.uv[nearest] * 255)
        wrong += np.abs(iuv[row, column] - expected).max() > 1
        seen_parts.add(int(body.part[nearest]))
    assert wrong <= 1  # on an edge, float32 may choose the other triangle
    assert len(seen_parts) >= 10


def test_iuv_background_is_zero_and_values_are_in_range():
    iuv = draw_iuv(Person.from_seed(2).posed(STANDING), View(), 128)
    assert iuv[..., 0].max() == 24
    assert not iuv[iuv[..., 0] == 0].any()
    assert 0.1 < (iuv[..., 0] > 0).mean() < 0.4


def test_the_front_shows_the_chest_and_the_back_the_back():
    person = Person.from_seed(11)
    front = draw_iuv(person.posed(STANDING), View(), 128)[..., 0]
    back = draw_iuv(person.posed(STANDING.changed(turn=np.pi)), View(), 128)[..., 0]
    assert (front == 2).sum() > 20 * (front == 1).sum()
    assert (back == 1).sum() > 5 * (back == 2).sum()
    # The person's right hand (3) is on the left of a picture from the front.
    assert np.nonzero(front == 3)[1].mean() < 64 < np.nonzero(front == 4)[1].mean()


def test_hanging_cloth_and_hair_are_in_the_picture_but_not_in_the_iuv():
    person = Person.from_seed(SKIRT_SEED)
    rendering = render(person, STANDING, View(), Light(), GREY, 96)
    drawn = np.abs(rendering.picture.astype(int) - 128).max(-1) > 2
    body = rendering.iuv[..., 0] > 0
    assert (drawn & ~body).sum() > 20
    count = len(load_body().mean_vertices)
    body_only = draw_iuv(person.posed(STANDING)[:count], View(), 96)
    assert np.array_equal(body_only, rendering.iuv)


def test_the_silhouette_has_no_holes():
    """Every pixel well inside the body's outline is drawn: a hole would show the background's colour."""
    import cv2

    for seed in (0, 1, 5, 9):
        green = np.zeros((128, 128, 3), np.float32)
        green[..., 1] = 1
        rendering = render(Person.from_seed(seed), STANDING, View(), Light(), green, 128)
        inside = cv2.erode((rendering.iuv[..., 0] > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        assert not (rendering.picture[inside] == (0, 255, 0)).all(-1).any()


def test_feet_stand_on_the_ground_in_any_pose():
    person = Person.from_seed(5)
    for pose in (STANDING, Pose({"leg_forward.L": 0.8, "knee.R": 0.7, "lean": 0.2})):
        lowest = person.posed(pose)[: len(load_body().mean_vertices), 2].min()
        assert lowest == pytest.approx(-person.identity.stature / 2, abs=1e-4)


def test_supersampling_only_smooths():
    person = Person.from_seed(6)
    fast = render(person, STANDING, View(), Light(), GREY, 96, supersample=1)
    slow = render(person, STANDING, View(), Light(), GREY, 96, supersample=2)
    assert np.array_equal(fast.iuv, slow.iuv)
    assert np.abs(fast.picture.astype(float) - slow.picture).mean() < 4


def test_evaluation_people_have_bodies_that_no_training_person_has():
    body = load_body()
    reserved = body.shape_coefficients[-EVALUATION_SHAPES:]

    def nearest_sample(seed: int) -> int:
        difference = body.shape_coefficients - identity_from_seed(seed).shape
        return int(np.linalg.norm(difference, axis=1).argmin())

    training = len(body.shape_coefficients) - len(reserved)
    assert all(nearest_sample(seed) < training for seed in range(30))
    assert all(nearest_sample(FIRST_EVALUATION_SEED + seed) >= training for seed in range(30))


def test_people_differ():
    people = [identity_from_seed(seed) for seed in range(200)]
    assert {person.hair.style for person in people} == set(HAIR_STYLES)
    assert {person.outfit.kind for person in people} == {"trousers", "skirt", "dress"}
    assert 60 < sum(person.male for person in people) < 140
    assert not any(person.face.beard and not person.male for person in people)
    assert np.std([person.skin.mean() for person in people]) > 0.1


def test_wrong_requests_are_refused():
    with pytest.raises(UsageError, match="no angle 'arm'"):
        Pose({"arm": 1.0})
    with pytest.raises(UsageError, match="negative"):
        Person.from_seed(-1)
    with pytest.raises(UsageError, match="background"):
        render(Person.from_seed(0), STANDING, View(), Light(), GREY, 64)
