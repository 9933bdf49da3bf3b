"""Rendered bodies for the tests of retargeting: exact IUV of people of known builds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from mcld_anim.arrays import Iuv
from mcld_anim.synthetic.dance import dance_pose
from mcld_anim.synthetic.motion import ARMS_DOWN, Pose
from mcld_anim.synthetic.person import Person, draw_iuv
from mcld_anim.synthetic.scene import View

SIZE, ZOOM = 192, 0.75
GROUND = -0.9  # metres: where everybody's soles are, the camera looks at height 0
STANDING = Pose({f"arm_raise.{side}": ARMS_DOWN + 0.15 for side in "LR"})

Draw = Callable[..., Iuv]


@pytest.fixture(scope="session")
def draw() -> Draw:
    """Draws a person in a pose, on one floor and before one camera for all."""

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
    """Another one, of another build."""
    return Person.from_seed(980_203)


@pytest.fixture(scope="session")
def long_legged(stocky: Person) -> Person:
    """`stocky` with legs 1.15 times as long, as broad as they were, and nothing else changed."""
    return with_legs(stocky, 1.15)


def with_legs(person: Person, factor: float) -> Person:
    """A person with everything below the hip joints stretched upright."""
    from mcld_anim.synthetic.body import load_body

    hip = float(person.joints[load_body().bone("upperleg.L"), 2])

    def stretched(points: np.ndarray) -> np.ndarray:
        moved = points.copy()
        moved[:, 2] = np.where(points[:, 2] < hip, hip + (points[:, 2] - hip) * factor, points[:, 2])
        return moved

    vertices, joints = stretched(person.vertices), stretched(person.joints)
    gained = float(person.vertices[:, 2].min() - vertices[:, 2].min())
    taller = replace(person.identity, stature=person.identity.stature + gained)
    return replace(person, identity=taller, vertices=vertices, joints=joints)
