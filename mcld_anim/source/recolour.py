"""Colours of an edited appearance: bare skin takes another tone, clothes another colour; both keep folds and shadows.

Arrays of colours are (..., 3) float32 RGB in 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from mcld_anim.core.cielab import to_lab, to_rgb

Colours = Float[np.ndarray, "*places 3"]
Shares = Float[np.ndarray, "*places"]
Tone = UInt8[np.ndarray, " 3"]
"""Colour of a person's cheeks, RGB."""

GAMMA = 2.2
"""Levels to the power of it are proportional to light, nearly as in sRGB."""
SAME_HUE, OTHER_HUE = 0.22, 0.40
"""Distances of the logarithms of red over green and of blue over green, in light, up to which a colour is skin of a
tone, and from which it is not. Shadows do not change them; white cloth is 0.5 to 1 away."""
DARKEST, BRIGHTEST = 0.12, 2.6
"""Light of skin as a share of the cheeks' up to which it is skin: in shadow, and in glare."""
MOST_GAIN = 12.0
"""Largest factor by which the light of skin changes from one person to another: between the darkest and the lightest
tone of blue."""
CONTRAST = 0.85
"""Contrast of a tinted garment's folds and prints, as a share of the photo's, in L*."""
LIGHTEST = 97.0
"""L* that a tinted garment does not exceed."""


def bareness(colours: Colours, tone: Tone) -> Shares:
    """How much a colour is bare skin of this tone, 0..1."""
    light, own = _light(colours), _light(tone.astype(np.float32))
    hue = np.log(light[..., [0, 2]] / light[..., 1:2]) - np.log(own[[0, 2]] / own[1])
    alike = np.clip((OTHER_HUE - np.hypot(hue[..., 0], hue[..., 1])) / (OTHER_HUE - SAME_HUE), 0, 1)
    bright = light.mean(-1) / own.mean()
    return np.asarray(alike * ((bright > DARKEST) & (bright < BRIGHTEST)), np.float32)


def toned(colours: Colours, tone: Tone, wanted: Tone, share: Shares) -> Colours:
    """Colours whose bare skin of `tone` has the `wanted` one instead, as far as `share` (0..1) says."""
    gain = (_light(wanted.astype(np.float32)) / _light(tone.astype(np.float32))).clip(1 / MOST_GAIN, MOST_GAIN)
    factor = gain ** (1 / GAMMA)
    skin = (bareness(colours, tone) * share)[..., None]
    return np.asarray(colours * (1 + skin * (factor - 1)), np.float32)


@dataclass(frozen=True, eq=False)
class Dye:
    """A garment's new colour."""

    colour: tuple[int, int, int]  # RGB, 0..255
    usual: float  # L* of the garment before
    tone: Tone | None  # of bare skin, which is not dyed; None: unknown

    def laid(self, colours: Colours, share: Shares, bare: Shares) -> Colours:
        """Colours dyed as far as `share` (0..1) says; skin may be where `bare` (0..1) is not 0."""
        if self.tone is not None:
            share = share * (1 - bareness(colours, self.tone) * bare)
        lightness, wanted = to_lab(colours)[..., 0], to_lab(np.array(self.colour, np.float32))
        new = (wanted[0] + CONTRAST * (lightness - self.usual)).clip(1, max(LIGHTEST, wanted[0]))
        vivid = np.minimum(new / max(wanted[0], 1.0), (100 - new) / max(100 - wanted[0], 1.0)).clip(0, 1)
        lab = np.stack([new, wanted[1] * vivid, wanted[2] * vivid], -1)
        return np.asarray(colours + (to_rgb(lab) - colours) * share[..., None], np.float32)

    @classmethod
    def of(cls, colour: tuple[int, int, int], atlas: Colours, share: Shares, bare: Shares, tone: Tone | None) -> Dye:
        """For a garment that has this `share` of an atlas's texels."""
        cloth = share if tone is None else share * (1 - bareness(atlas, tone) * bare)
        garment = cloth > 0.5
        usual = float(np.median(to_lab(atlas[garment])[..., 0])) if garment.any() else 50.0
        return cls(colour, usual, tone)


def _light(colours: Colours) -> Colours:
    return np.asarray((np.maximum(colours, 2.0) / 255) ** GAMMA, np.float32)
