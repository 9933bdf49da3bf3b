"""Choosing the person of `--person` among those found in a picture; its errors list who was found."""

from __future__ import annotations

from collections.abc import Sequence

from mcld_anim.core.arrays import Box
from mcld_anim.core.errors import PoseError
from mcld_anim.options.person import PersonChoice
from mcld_anim.pose.backends import PoseEstimate

POINT_REACH = 0.25
"""Largest distance from a point to a person's box, as a fraction of the box's longer side."""


def selected(people: Sequence[PoseEstimate], choice: PersonChoice, where: str) -> PoseEstimate:
    """The person of `choice` among `people`, largest first and not empty; `where` names the picture in errors.

    A point selects the person whose pixels it lies on, else the nearest box within a quarter of its longer side.
    """
    if choice.number is not None:
        if choice.number > len(people):
            raise PoseError(f"--person {choice}: {where} shows {described(people)}; give a number up to {len(people)}")
        return from_left(people)[choice.number - 1]
    if choice.point is None:
        return people[0]
    x, y = choice.point
    covering = [one for one in people if one.iuv[int(y), int(x), 0]]
    if covering:
        return covering[0]
    nearest = min(people, key=lambda one: _distance(one.box, x, y))
    side = max(nearest.box[2] - nearest.box[0], nearest.box[3] - nearest.box[1])
    if _distance(nearest.box, x, y) > POINT_REACH * side:
        raise PoseError(
            f"--person {choice}: nobody is at that point of {where}, which shows {described(people)}; give a point "
            "on one of them"
        )
    return nearest


def from_left(people: Sequence[PoseEstimate]) -> list[PoseEstimate]:
    """People from left to right, by the centre of their box."""
    return sorted(people, key=lambda one: (one.box[0] + one.box[2], one.box))


def described(people: Sequence[PoseEstimate]) -> str:
    """Number and boxes of people in words: "2 people (1: x 10 to 90, y 5 to 200; 2: ...)"."""
    places = "; ".join(
        f"{number}: x {one.box[0]:.0f} to {one.box[2]:.0f}, y {one.box[1]:.0f} to {one.box[3]:.0f}"
        for number, one in enumerate(from_left(people), 1)
    )
    return f"{len(people)} {'person' if len(people) == 1 else 'people'} ({places})"


def _distance(box: Box, x: float, y: float) -> float:
    """Distance from a point to a box, in pixels; 0 inside."""
    across, down = max(box[0] - x, 0, x - box[2]), max(box[1] - y, 0, y - box[3])
    return float((across**2 + down**2) ** 0.5)
