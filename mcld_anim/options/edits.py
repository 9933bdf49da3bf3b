"""Edits of an appearance: another face, other clothes, colours, a painted texture, another person by the end; and the
weights of the conditions. The options of `edit`, and of `run` and `pose`. Imports no heavy package."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, cast

from mcld_anim.core.errors import UsageError
from mcld_anim.core.home import expanded
from mcld_anim.core.plain_data import shortened
from mcld_anim.options.checks import check_file_name, check_range

Group = Literal["upper", "lower", "shoes", "all"]
GROUPS: tuple[Group, ...] = ("upper", "lower", "shoes", "all")
"""Groups of garments: torso and arms, hips and legs, feet, and the three together. Head and hands are in none."""
GARMENTS: tuple[Group, ...] = ("upper", "lower", "shoes")
"""The groups that do not overlap."""
CONDITIONS = ("face", "image", "texture")
"""Conditions of the denoiser that have a weight."""
MOST_WEIGHT = 10.0
"""Largest weight of a condition: far beyond it frames are noise."""
MIDDLE = 0.5
"""Share of the second person in a single picture with `--morph-to`."""

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")

Several = str | tuple[str, ...]
"""One value of a flag that may be given several times, or all of them."""


@dataclass(frozen=True)
class GarmentChoice:
    """One `--garment-from`."""

    photo: Path
    group: Group


@dataclass(frozen=True)
class Tint:
    """One `--tint`."""

    group: Group
    colour: tuple[int, int, int]  # RGB, 0..255


@dataclass(frozen=True)
class Weights:
    """Factors on what each condition adds in the denoiser's cross attention (the paper's lambda, relative to the
    model's own)."""

    face: float = 1.0
    image: float = 1.0
    texture: float = 1.0


@dataclass(frozen=True, kw_only=True)
class AppearanceOptions:
    """The options of the edits; a class of options that has them calls `check_edits`."""

    face_from: Path | None = None  # photo of the person whose face and hair are shown
    garment_from: Several = ()  # "PHOTO:GROUP": clothes of another photo's person
    tint: Several = ()  # "GROUP=#rrggbb": colour of clothes
    texture: Path | None = None  # edited UV texture: what differs from the photo's own is painted onto the person
    morph_to: Path | None = None  # photo of the person whom the source's becomes by the last frame
    weights: str = ""  # "face=1.0,image=1.0,texture=1.0"; conditions that are not named keep 1
    attention_maps: bool = False  # write where each condition acts as OUT.attention.png

    def check_edits(self) -> None:
        """Refuse unknown groups, colours and conditions, and edits that exclude each other."""
        _check_once("--garment-from", [choice.group for choice in self.garments])
        _check_once("--tint", [tint.group for tint in self.tints])
        _ = self.condition_weights

    @property
    def garments(self) -> tuple[GarmentChoice, ...]:
        """The parsed `--garment-from`."""
        return tuple(_garment(text) for text in _each(self.garment_from))

    @property
    def tints(self) -> tuple[Tint, ...]:
        """The parsed `--tint`, which may be separated by commas."""
        return tuple(_tint(part) for text in _each(self.tint) for part in text.split(","))

    @property
    def condition_weights(self) -> Weights:
        """The parsed `--weights`."""
        given: dict[str, float] = {}
        for part in self.weights.split(",") if self.weights else ():
            name, _, value = (piece.strip() for piece in part.partition("="))
            if name not in CONDITIONS:
                raise UsageError(
                    f"--weights {shortened(self.weights)}: there is no condition {shortened(name) or '(empty)'}; there "
                    f"are {', '.join(CONDITIONS)}, such as face=1.0,image=0.5"
                )
            try:
                given[name] = float(value)
            except ValueError:
                raise UsageError(
                    f"--weights {name}={shortened(value)} is no number; give one, such as {name}=0.5"
                ) from None
            check_range(f"--weights {name}", given[name], 0.0, MOST_WEIGHT)
        return Weights(**given)

    @property
    def edit_photos(self) -> dict[Path, str]:
        """The photos of other people, each with its flag."""
        photos = {choice.photo: "--garment-from" for choice in self.garments}
        if self.face_from is not None:
            photos[self.face_from] = "--face-from"
        if self.morph_to is not None:
            photos[self.morph_to] = "--morph-to"
        return photos

    @property
    def edit_inputs(self) -> tuple[Path, ...]:
        """Every file that the edits read."""
        return (*self.edit_photos, *([self.texture] if self.texture else []))

    @property
    def edits_person(self) -> bool:
        """Whether somebody else than the photo's person is shown, in whatever part."""
        return bool(self.edit_inputs or self.tints)


EDIT_FILES = ("face_from", "garment_from", "texture", "morph_to")
"""Fields with names of files, on whose content results depend instead."""
EDIT_FIELDS = tuple(field.name for field in fields(AppearanceOptions))


def _each(given: Several) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given


def _garment(text: str) -> GarmentChoice:
    photo, colon, group = text.rpartition(":")
    if not colon or not photo or group not in GROUPS:
        raise UsageError(
            f"--garment-from {shortened(text)} names no group of garments: give PHOTO:GROUP with one of "
            f"{', '.join(GROUPS)}, such as friend.jpg:upper"
        )
    check_file_name("--garment-from", photo)
    return GarmentChoice(expanded(photo), cast("Group", group))


def _tint(text: str) -> Tint:
    group, _, colour = (piece.strip() for piece in text.partition("="))
    if group not in GROUPS:
        raise UsageError(
            f"--tint {shortened(text)}: there is no group {shortened(group) or '(empty)'}; there are "
            f"{', '.join(GROUPS)}, such as upper=#aa2233"
        )
    if not _COLOUR.fullmatch(colour):
        raise UsageError(f"--tint {shortened(text)} has no colour: give GROUP=#rrggbb, such as upper=#aa2233")
    return Tint(cast("Group", group), (int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)))


def _check_once(flag: str, groups: list[Group]) -> None:
    """Refuse a garment that is named twice."""
    named = [one for group in groups for one in (GARMENTS if group == "all" else (group,))]
    twice = next((one for one in named if named.count(one) > 1), None)
    if twice is not None:
        raise UsageError(f"{flag} names {twice} twice (all is {', '.join(GARMENTS)}): give each group once")
