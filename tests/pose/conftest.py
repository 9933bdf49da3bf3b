"""Rendered people with exact IUV: bodies of known build, and clips of two people moving in front of a wall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
import pytest

from mcld_anim.body.rig import load_body
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.pose.backends import PoseEstimate, estimate_of
from mcld_anim.synthetic.dance import dance_pose
from mcld_anim.synthetic.motion import ARMS_DOWN, Pose
from mcld_anim.synthetic.person import Person, draw_iuv, render
from mcld_anim.synthetic.scene import Light, View

SIZE, ZOOM = 192, 0.75
GROUND = -0.9  # metres: where everybody's soles are, the camera looks at height 0
STANDING = Pose({f"arm_raise.{side}": ARMS_DOWN + 0.15 for side in "LR"})
HEIGHT, WIDTH = 128, 256
LEAST_SHOWN = 0.4
"""Least visible share of a figure that an estimator finds."""

Draw = Callable[..., Iuv]


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Draws a person in a pose, with one floor and one camera for all."""

    def drawn(person: Person, pose: Pose = STANDING, yaw: float = 0.0) -> Iuv:
        vertices = person.posed(pose)
        vertices[:, 2] += person.identity.stature / 2 + GROUND
        return draw_iuv(vertices, View(yaw=yaw, zoom=ZOOM), SIZE)

    return drawn


@pytest.fixture(scope="session")
def steps() -> list[Pose]:
    """Eight moments of a dance."""
    return [dance_pose(0.2 + 0.35 * number) for number in range(8)]


@pytest.fixture(scope="session")
def stocky() -> Person:
    """A held-out person."""
    return Person.from_seed(980_204)


@pytest.fixture(scope="session")
def slim() -> Person:
    """A held-out person of another build."""
    return Person.from_seed(980_203)


@pytest.fixture(scope="session")
def long_legged(stocky: Person) -> Person:
    """`stocky` with legs 1.15 times as long and of the same width, and nothing else changed."""
    return with_legs(stocky, 1.15)


def with_legs(person: Person, factor: float) -> Person:
    """A person with everything below the hip joints stretched upright."""
    hip = float(person.joints[load_body().bone("upperleg.L"), 2])

    def stretched(points: np.ndarray) -> np.ndarray:
        moved = points.copy()
        moved[:, 2] = np.where(points[:, 2] < hip, hip + (points[:, 2] - hip) * factor, points[:, 2])
        return moved

    vertices, joints = stretched(person.vertices), stretched(person.joints)
    gained = float(person.vertices[:, 2].min() - vertices[:, 2].min())
    taller = replace(person.identity, stature=person.identity.stature + gained)
    return replace(person, identity=taller, vertices=vertices, joints=joints)


@dataclass(frozen=True, eq=False)
class Shown:
    """One frame and the people visible in it, by name."""

    picture: Picture
    people: dict[str, PoseEstimate]

    def shuffled(self, seed: int) -> list[PoseEstimate]:
        """The people in an order that depends on the seed."""
        people = list(self.people.values())
        return [people[index] for index in np.random.default_rng(seed).permutation(len(people))]


Figure = tuple[Picture, Iuv, np.ndarray]
"""Picture, IUV and mask (hair and skirts included) of one size."""


@cache
def figure(seed: int, moment: int, size: int = 116) -> Figure:
    """The person of `seed` at one of four moments of the dance."""
    grey = np.full((size, size, 3), 0.5, np.float32)
    view = View(zoom=0.8, yaw=(0.0, 0.3, -0.3, 0.5)[moment % 4])
    made = render(Person.from_seed(seed), dance_pose(0.2 + 0.15 * (moment % 4)), view, Light(), grey, size, 1)
    return made.picture, made.iuv, (made.picture != 128).any(-1) | (made.iuv[..., 0] > 0)


def frame(people: Sequence[tuple[str, int, float]], moment: int, wall: int = 170, size: int = 116) -> Shown:
    """People as (name, seed, x of the centre), those in front last."""
    picture = np.full((HEIGHT * size // 116, WIDTH * size // 116, 3), wall, np.uint8)
    iuvs: dict[str, Iuv] = {}
    full = {}
    for name, seed, middle in people:
        shot, iuv, mask = figure(seed, moment, size)
        move = np.float32([[1, 0, middle - size / 2], [0, 1, 6]])
        where = (picture.shape[1], picture.shape[0])
        moved = [cv2.warpAffine(plane, np.rint(move), where, flags=cv2.INTER_NEAREST) for plane in (shot, iuv)]
        inside = cv2.warpAffine(mask.astype(np.uint8), np.rint(move), where, flags=cv2.INTER_NEAREST) > 0
        picture[inside] = moved[0][inside]
        for other in iuvs.values():
            other[inside] = 0
        iuvs[name], full[name] = moved[1], np.count_nonzero(iuv[..., 0])
    found = {name: estimate_of(iuv, 0.9) for name, iuv in iuvs.items()}
    return Shown(picture, {k: one for k, one in found.items() if one is not None and one.area > LEAST_SHOWN * full[k]})


@pytest.fixture(scope="session")
def crossing() -> Callable[[int, int], list[Shown]]:
    """Two people who cross: "back" goes to the right behind "front", who comes from there and stays in the middle."""

    @cache
    def made(back: int, front: int) -> list[Shown]:
        steps = [*np.linspace(50, 128, 12), *[128.0] * 5, *np.linspace(128, 206, 12)]
        return [frame([("back", back, x), ("front", front, max(256 - x, 128))], i // 3) for i, x in enumerate(steps)]

    return made


@pytest.fixture(scope="session")
def people_frame() -> Callable[..., Shown]:
    """`frame`, for tests that make their own clips."""
    return frame


@pytest.fixture(scope="session")
def two_people() -> Shown:
    """Two people side by side, large enough for the embedded estimator."""
    return frame([("left", 960_001, 110), ("right", 960_002, 290)], 0, size=192)
