"""The look of an edited person: whose photo gives each region of the body, the tone of bare skin, dyes and paint.

A look is told in shares of the body's surface, so it holds for the atlas, which networks get, as for frames of photos'
own pixels (`source.edited_warp`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mcld_anim.body.garments import USUAL_HEM, Share, TexelShare, bare_share, on_texels, torso_and_legs
from mcld_anim.core.arrays import Atlas, AtlasMask
from mcld_anim.options.edits import GARMENTS, Tint
from mcld_anim.source.fill import fill_atlas
from mcld_anim.source.recolour import Colours, Dye, Tone, toned
from mcld_anim.source.shown import Shown, region_share


@dataclass(frozen=True, eq=False)
class Part:
    """A region of the body, from one photo."""

    photo: Path | None  # None: the source itself
    share: Share
    gone: Share | None = None  # of what the photo shows there, such as the hem of a shirt that somebody else's replaces
    tone: Tone | None = None  # of its bare skin, where that takes the look's; None: it keeps its own
    is_head: bool = False


@dataclass(frozen=True, eq=False)
class Paint:
    """Colours painted onto the atlas."""

    colours: Float[np.ndarray, "24 200 200 3"]  # RGB, 0..255
    share: TexelShare


@dataclass(frozen=True, eq=False)
class Look:
    """An edited person."""

    parts: tuple[Part, ...]  # the source's own first, with all of the body
    tone: Tone | None = None
    dyes: tuple[tuple[Dye, Share], ...] = ()
    paint: Paint | None = None

    def dressed(self, atlases: Mapping[Path | None, tuple[Atlas, AtlasMask]]) -> tuple[Atlas, AtlasMask]:
        """The atlas, and which of its texels a photo shows, of the atlases of the photos; these may be incomplete."""
        colours, known = np.zeros((24, 200, 200, 3), np.float32), np.zeros((24, 200, 200), bool)
        for part in self.parts:
            atlas, valid = without(*atlases[part.photo], part.gone)
            share, own = on_texels(part.share), toned_part(part, self.tone, atlas.astype(np.float32), texel_bareness())
            mixed = share * (known & valid) + (share > 0.5) * ~(known & valid)  # no mixing with what is not known
            colours += mixed[..., None] * (own - colours)
            known = np.where(share > 0.5, valid, known)
        for dye, share in self.dyes:
            colours = dye.laid(colours, on_texels(share) * known, texel_bareness())
        if self.paint is not None:
            colours += self.paint.share[..., None] * (self.paint.colours - colours)
            known = known | (self.paint.share > 0.5)
        return np.rint(colours).clip(0, 255).astype(np.uint8), known


def make_look(source: Shown, others: Mapping[Path, Shown], owners: Mapping[str, Path], tints: tuple[Tint, ...]) -> Look:
    """The look with other people's regions, `owners` by the name of a garment or "head", and tinted garments.

    The upper garment ends at its own hem. Whoever's lower garment begins further down, under a longer shirt, has it
    continued upwards.
    """
    people: dict[Path | None, Shown] = {None: source}
    for path, one in others.items():
        people[path] = one
    upper, lower = (people[owners.get(name)] for name in ("upper", "lower"))
    hem = USUAL_HEM if upper.hem is None else upper.hem
    gone = None
    if lower is not upper and lower.hem is not None and lower.hem < hem:
        gone = region_share("upper", lower.hem) * torso_and_legs()
    tone = people[owners.get("head")].tone
    parts = [Part(None, np.ones_like(region_share("head", hem)), None if "lower" in owners else gone)]
    for name, photo in owners.items():
        under = gone if name == "lower" else None
        parts.append(Part(photo, region_share(name, hem), under, is_head=name == "head"))
    parts = [_keeping_tone(part, people[part.photo].tone, tone) for part in parts]
    look = Look(tuple(parts), tone)
    if not tints:
        return look
    atlas, _ = look.dressed({photo: (one.atlas, one.valid) for photo, one in people.items()})
    return replace(look, dyes=tuple(_dyes(atlas, hem, tone, tints)))


def without(atlas: Atlas, valid: AtlasMask, gone: Share | None) -> tuple[Atlas, AtlasMask]:
    """An atlas whose texels in a region are continued from those around it."""
    if gone is None:
        return atlas, valid
    hidden = on_texels(gone) > 0.5
    return fill_atlas(atlas, ~hidden), valid & ~hidden


def toned_part(part: Part, wanted: Tone | None, colours: Colours, bare: Float[np.ndarray, "*places"]) -> Colours:
    """Colours of a part with the look's tone where they may be `bare` (0..1)."""
    return colours if part.tone is None or wanted is None else toned(colours, part.tone, wanted, bare)


def texel_bareness() -> TexelShare:
    """Where the atlas may show bare skin."""
    return on_texels(bare_share())


def _keeping_tone(part: Part, own: Tone | None, wanted: Tone | None) -> Part:
    """The part, whose bare skin keeps its tone if that is the look's."""
    same = own is None or wanted is None or np.array_equal(own, wanted)
    return part if same else replace(part, tone=own)


def _dyes(atlas: Atlas, hem: float, tone: Tone | None, tints: tuple[Tint, ...]) -> list[tuple[Dye, Share]]:
    dyes = []
    for tint in tints:
        for garment in GARMENTS if tint.group == "all" else (tint.group,):
            share = region_share(garment, hem)
            dye = Dye.of(tint.colour, atlas.astype(np.float32), on_texels(share), texel_bareness(), tone)
            dyes.append((dye, share))
    return dyes
