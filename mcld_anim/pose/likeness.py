"""What a person looks like, wherever they stand and however they turn: the colours of their surface, a few per part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mcld_anim.body.texels import mean_colours
from mcld_anim.core.arrays import Iuv, Picture

TEXELS = 4
"""Side of a part's texture. Estimators err by about a tenth of a part: finer texels would hold others' colours."""
MOST_PIXELS = 20_000
"""Of a person that are read: enough for 52 in every texel."""
SURE_PIXELS = 8.0
"""From so many on a texel's colour counts in full."""
LEAST_COMMON = 10.0
"""Texels, by their weights, that two looks must have in common to be compared: less than a limb says little."""


@dataclass(frozen=True, eq=False)
class Likeness:
    """Mean colour of every texel, and how sure it is."""

    colours: Float[np.ndarray, "texels 3"]  # float32 RGB 0..255
    weight: Float[np.ndarray, " texels"]  # 0 (never seen) .. 1

    def updated(self, seen: Likeness, rate: float) -> Likeness:
        """Moved towards `seen` by `rate` (0..1) where both know a texel; what was never seen before is taken over."""
        share = np.where(self.weight > 0, rate * seen.weight, (seen.weight > 0).astype(np.float32))
        colours = self.colours + share[:, None] * (seen.colours - self.colours)
        return Likeness(colours.astype(np.float32), np.maximum(self.weight, seen.weight))


def likeness(picture: Picture, iuv: Iuv) -> Likeness:
    """The look of the person that `iuv` shows in `picture`, both (H, W, 3)."""
    step = max(1, int(np.sqrt(np.count_nonzero(iuv[..., 0]) / MOST_PIXELS)))
    picture, iuv = picture[::step, ::step], iuv[::step, ::step]
    colours, count, _ = mean_colours(picture, iuv, TEXELS)
    return Likeness(colours.astype(np.float32), np.minimum(count / SURE_PIXELS, 1).astype(np.float32))


def unlikeness(first: Likeness, second: Likeness) -> float | None:
    """How far apart two looks are, in levels (0 the same .. 255), over what both show; None where that is too little.

    sum(w |c_1 - c_2|) / sum(w) over the texels, with w the smaller of the two weights and the mean over R, G, B.
    """
    weight = np.minimum(first.weight, second.weight)
    if weight.sum() < LEAST_COMMON:
        return None
    apart = np.abs(first.colours - second.colours).mean(-1)
    return float((weight * apart).sum() / weight.sum())
