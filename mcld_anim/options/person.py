"""The choice of a person in a picture or video: `--person largest|N|x,y`. Imports no heavy package."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mcld_anim.core.errors import UsageError

_NUMBER = re.compile(r"\d{1,4}")
_POINT = re.compile(r"(\d{1,6}(?:\.\d+)?)\s*,\s*(\d{1,6}(?:\.\d+)?)")


@dataclass(frozen=True)
class PersonChoice:
    """A person by number or point; the largest if neither is given."""

    number: int | None = None  # from the left, from 1, in the first frame with people
    point: tuple[float, float] | None = None  # x, y in pixels of the picture or of the driving frame

    def __str__(self) -> str:
        if self.point is not None:
            return f"{self.point[0]:g},{self.point[1]:g}"
        return "largest" if self.number is None else str(self.number)

    def check_inside(self, width: int, height: int, what: str) -> None:
        """Refuse a point outside frames of this size (pixels)."""
        if self.point is not None and not (self.point[0] < width and self.point[1] < height):
            raise UsageError(f"--person {self} lies outside {what}, which is {width}x{height} pixels: give x,y inside")


LARGEST = PersonChoice()


def parse_person(given: str | int) -> PersonChoice:
    """The choice given by `--person`; numbers in YAML and JSON are accepted too."""
    text = str(given).strip()
    if text == "largest":
        return LARGEST
    if _NUMBER.fullmatch(text) and int(text) > 0:
        return PersonChoice(number=int(text))
    if point := _POINT.fullmatch(text):
        return PersonChoice(point=(float(point[1]), float(point[2])))
    raise UsageError(
        f"--person {text or 'is empty'}: give largest, a number from 1 (counted from the left), "
        "or x,y in pixels of the driving frame"
    )
