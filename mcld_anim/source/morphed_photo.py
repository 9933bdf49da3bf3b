"""A photo whose person becomes another over the frames of a clip: `--morph-to` in `--framing photo`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from mcld_anim.source.edited_warp import Fitted, between
from mcld_anim.source.fitted_photo import FittedPhoto


@dataclass(frozen=True, eq=False)
class MorphedPhoto(FittedPhoto):
    """The photo, whose person is `last` in the end; its place and the skeleton stay."""

    last: Fitted
    shares: tuple[float, ...]  # of `last` in each frame, 0..1

    @classmethod
    def of(cls, photo: FittedPhoto, last: Fitted, shares: tuple[float, ...]) -> MorphedPhoto:
        """From both ends."""
        return cls(**_fields(photo), last=last, shares=shares)

    def at(self, index: int) -> FittedPhoto:
        """The photo in a frame, with that frame's person."""
        person = between(Fitted(self.painter, self.warp), self.last, self.shares[index])
        return FittedPhoto(**{**_fields(self), "painter": person.painter, "warp": person.warp})


def _fields(photo: FittedPhoto) -> dict[str, Any]:
    return {field.name: getattr(photo, field.name) for field in fields(FittedPhoto)}
