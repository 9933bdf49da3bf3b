"""A person's appearance, whatever their place and pose: mean colours of their surface, a few per part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mcld_anim.body.texels import mean_colours
from mcld_anim.core.arrays import Iuv, Picture

TEXELS = 4
"""Side of a part's texture, in texels. Estimators err by about a tenth of a part, so finer texels would mix."""
SAMPLED_PIXELS = 20_000
"""Pixels of a person that are read: 52 per texel on average."""
SURE_PIXELS = 8.0
"""Pixels from which a texel has full weight."""
LEAST_COMMON = 10.0
"""Texels, by weight, that two appearances must share to be compared; fewer are less than a limb."""


@dataclass(frozen=True, eq=False)
class PersonAppearance:
    """Mean colour and weight of every texel."""

    colours: Float[np.ndarray, "texels 3"]  # float32 RGB 0..255
    weight: Float[np.ndarray, " texels"]  # 0 (never seen) .. 1

    def updated(self, seen: PersonAppearance, rate: float) -> PersonAppearance:
        """Moved towards `seen` by `rate` (0..1) where both know a texel; texels new in `seen` are copied."""
        share = np.where(self.weight > 0, rate * seen.weight, (seen.weight > 0).astype(np.float32))
        colours = self.colours + share[:, None] * (seen.colours - self.colours)
        return PersonAppearance(colours.astype(np.float32), np.maximum(self.weight, seen.weight))


def person_appearance(picture: Picture, iuv: Iuv) -> PersonAppearance:
    """The appearance of the person that `iuv` shows in `picture`, both (H, W, 3)."""
    step = max(1, int(np.sqrt(np.count_nonzero(iuv[..., 0]) / SAMPLED_PIXELS)))
    picture, iuv = picture[::step, ::step], iuv[::step, ::step]
    colours, count, _ = mean_colours(picture, iuv, TEXELS)
    return PersonAppearance(colours.astype(np.float32), np.minimum(count / SURE_PIXELS, 1).astype(np.float32))


def appearance_distance(first: PersonAppearance, second: PersonAppearance) -> float | None:
    """Mean colour difference over the shared texels, in levels 0..255; None where they share too little.

    sum(w |c_1 - c_2|) / sum(w) over the texels, with w the smaller of the two weights and the mean over R, G, B.
    """
    weight = np.minimum(first.weight, second.weight)
    if weight.sum() < LEAST_COMMON:
        return None
    difference = np.abs(first.colours - second.colours).mean(-1)
    return float((weight * difference).sum() / weight.sum())
