"""The person that `--person` means among those found in one picture, and errors that say who is there."""

from __future__ import annotations

from collections.abc import Sequence

from mcld_anim.core.arrays import Box
from mcld_anim.core.errors import PoseError
from mcld_anim.options.person import PersonChoice
from mcld_anim.pose.backends import PoseEstimate

POINT_REACH = 0.25
"""Of the larger side of a person's box: a point farther from every box means nobody who was found."""


def selected(people: Sequence[PoseEstimate], choice: PersonChoice, where: str) -> PoseEstimate:
    """The person of `choice` among `people`, the largest first and not empty; `where` names the picture in errors.

    A point means the person whose pixels it lies on, else the one whose box is nearest, within a quarter of its size.
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
    if _distance(nearest.box, x, y) > POINT_REACH * max(
        nearest.box[2] - nearest.box[0], nearest.box[3] - nearest.box[1]
    ):
        raise PoseError(f"--person {choice}: nobody is there in {where}, which shows {described(people)}")
    return nearest


def from_left(people: Sequence[PoseEstimate]) -> list[PoseEstimate]:
    """People by the middle of their box, from left to right."""
    return sorted(people, key=lambda one: (one.box[0] + one.box[2], one.box))


def described(people: Sequence[PoseEstimate]) -> str:
    """How many people there are, and where: "2 people (1: x 10 to 90, y 5 to 200; 2: ...)"."""
    places = "; ".join(
        f"{number}: x {one.box[0]:.0f} to {one.box[2]:.0f}, y {one.box[1]:.0f} to {one.box[3]:.0f}"
        for number, one in enumerate(from_left(people), 1)
    )
    return f"{len(people)} {'person' if len(people) == 1 else 'people'} ({places})"


def _distance(box: Box, x: float, y: float) -> float:
    """Pixels from a point to a box, 0 inside."""
    across, down = max(box[0] - x, 0, x - box[2]), max(box[1] - y, 0, y - box[3])
    return float((across**2 + down**2) ** 0.5)
