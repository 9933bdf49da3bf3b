"""The photo's own pixels in another pose: each pixel of the drawn body samples the photo where the photo shows it.

Two drawings of one mesh, in the photo's pose and in the target's, give the place in the photo and whether it is seen
there. Surface that the photo does not show comes from the completed atlas (`source.whole_atlas`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from mcld_anim.body.draw import DrawnBody
from mcld_anim.body.fit import STATURE
from mcld_anim.body.part_labels import HAND_PART, LOWER_ARM_PARTS, UPPER_ARM_PARTS
from mcld_anim.body.rig import load_body
from mcld_anim.core.arrays import HEAD_PARTS, Alpha, Atlas, Iuv, Picture
from mcld_anim.core.cielab import alike, to_lab
from mcld_anim.source.fill import seen_atlas
from mcld_anim.source.guessed_texture import Texture, guessed_texture
from mcld_anim.source.person_colours import hair_colour, skin_colour
from mcld_anim.source.photo_view import PhotoView, sampled, sampled_together
from mcld_anim.source.whole_atlas import whole_atlas

GUESS_BLUR = 3.0
"""Standard deviation, in pixels, of the blur of guessed colours: they come in texels, with edges between charts. As for
the seam, `mcld-anim eval reenact` tells: 0.1 dB more than with 1.5. Texture is added afterwards."""
RIM, CONTINUED = 5, 7
"""Widths in pixels of the mixed colours around what is doubtful, and of the window from which colours are continued
beyond the body's edge: as far as that is soft."""
ARMS = (3, 4, *range(15, 23))
"""DensePose parts of hands and arms."""
DOUBT, IN_FRONT = 0.02, 0.05
"""Reach of the doubt beside an arm, as a fraction of the person's height, and the distance between arm and surface from
which it holds, in metres."""
HAND_DOUBT = 0.045
"""Reach of the doubt around a hand on other parts than its own arm, as a fraction of the person's height: its fingers
are drawn half bent, and lie as they like in the photo."""
SKIN_RANGE = (35.0, 16.0, 16.0)
"""Differences of L*, a* and b* from the cheeks up to which a hand shows skin: it lies in another light."""
LEAST_OWN, NEARER_SKIN = 20, 0.5
"""Pixels of a part away from hands from which its colour is known, and how near to the cheeks' colour a hand's pixel on
it is, as a share of the distance from the part's own."""
BARE = 0.08
"""Share of skin from which drawn hands are bare. Hands before a sleeve are drawn too large."""
SAME_CLOTH = 12.0
"""Distance in CIELAB up to which a hand without skin has the colour of a sleeve, and is no glove."""
SLEEVED = 0.35
"""Share of skin up to which a forearm is clothed: more are bare, or their sleeves are rolled up."""
JAW, EDGE, HEAD_RANGE = 0.09, 0.6, (32.0, 15.0, 17.0)
"""How far down from the eyes jaws reach, in metres: below, collars lie on necks. Cosine between normal and line of
sight below which a surface is at an edge, and differences of L*, a* and b* from cheeks and crown up to which a jaw's
edge shows skin or hair."""
LIGHT_FROM_ABOVE, ROUNDNESS = 0.12, 0.3
"""How much brighter, as natural logarithms, a surface is that faces up than one that faces sideways, and one that faces
the camera than one seen edge-on. `mcld-anim eval light` measures both on rendered people."""


@dataclass(frozen=True, eq=False)
class PersonLayer:
    """The person in one pose, without a background, in the box (h, w) of a drawn body."""

    drawn: DrawnBody
    colours: Float[np.ndarray, "h w 3"]  # RGB in 0..255, continued beyond the soft edge
    validity: Float[np.ndarray, "h w"]  # 1 where the photo shows the colour, 0 where it is a guess; 1 outside
    painted: Bool[np.ndarray, "h w"]  # where the guess comes without the photo's light
    normals: Float[np.ndarray, "h w 3"]  # y and z of `DrawnBody.normals`, and z in the photo's pose; 0 outside

    def lit(self) -> PersonLayer:
        """The layer in this pose's light, which comes from above. What is painted gets its roundness from it."""
        away, up, before = np.moveaxis(self.normals, -1, 0)
        brighter = LIGHT_FROM_ABOVE * (up - self.validity * before) - ROUNDNESS * self.painted * (1 + away)
        factor = continued(np.exp(brighter)[..., None], self.drawn.inside)
        return replace(self, colours=self.colours * factor)

    def before(self, background: Picture) -> Picture:
        """The layer in front of a background of the picture's size."""
        picture = background.copy()
        behind, share = picture[self.drawn.box], self.drawn.alpha[..., None]
        behind[:] = np.rint(self.colours * share + behind * (1 - share)).clip(0, 255)
        return picture


@dataclass(frozen=True, eq=False)
class PhotoWarp:
    """One photo's person; where there are more photos of them, what those show as well."""

    colours: Picture  # the photo, with the person's colours continued across their edge
    own: Alpha  # the photo's matte, 0 where the colours may not be the person's
    atlas: Atlas  # complete
    painted: Bool[np.ndarray, 24]  # parts whose colours are guessed from others', without the photo's light
    texture: Texture  # of clothes, where they are guessed
    drawn: DrawnBody  # the body in the photo's pose
    covered_ears: str = ""  # sides ("L", "R") of the ears under hair
    views: tuple[PhotoView, ...] = ()  # all photos where there are several, this one first

    @classmethod
    def of(cls, colours: Picture, alpha: Alpha, drawn: DrawnBody, covered_ears: str = "") -> PhotoWarp:
        """From the colours, the photo's matte, the body in the photo's pose and the sides of ears under hair."""
        skin = skin_colour(colours, alpha, drawn)
        hair = hair_colour(colours, alpha, drawn)
        doubtful = _beside_arm(drawn) | _beside_jaw(colours, skin, hair, drawn)
        doubtful |= _mistaken_hands(colours, skin, drawn) | _skin_on_sleeves(colours, skin, drawn)
        own = alpha * drawn.whole(~doubtful, True)
        colours = _without_others(colours, alpha, own)
        seen = seen_iuv(own, drawn)
        shown, valid = seen_atlas(colours, seen)
        atlas, painted = whole_atlas(shown, valid, hair, skin, covered_ears)
        return cls(colours, own, atlas, painted, guessed_texture(shown, valid), drawn, covered_ears)

    def layer(self, drawn: DrawnBody) -> PersonLayer:
        """The person in the pose of a drawing of the same mesh."""
        inside = drawn.inside
        if self.views:
            colours, seen, before = sampled_together(self.views, drawn)
            normals = np.dstack([drawn.over(drawn.normals[:, 1:]), before])
        else:
            colours, seen = sampled(self.colours, self.own, self.drawn, drawn)
            normals = drawn.over(np.concatenate([drawn.normals[:, 1:], self.drawn.normals[:, 2:]], 1))
        share = seen[..., None]
        texels = self.atlas.reshape(-1, 3).take(drawn.texels, 0)
        guessed = drawn.pixels.planes(texels.astype(np.float32))
        body = inside.astype(np.float32)
        weight = cv2.GaussianBlur(body, (0, 0), GUESS_BLUR)[..., None]
        guessed = cv2.GaussianBlur(guessed, (0, 0), GUESS_BLUR) / np.maximum(weight, 1e-3)
        guessed += drawn.pixels.planes(self.texture.ravel().take(drawn.texels)[:, None].astype(np.float32))
        colours = colours * share + guessed * (1 - share)
        validity = np.where(inside, share[..., 0], 1).astype(np.float32)
        painted = np.append(False, self.painted)[drawn.iuv[drawn.box][..., 0]]
        return PersonLayer(drawn, continued(colours, inside), validity, painted, normals)


def _without_others(colours: Picture, alpha: Alpha, own: Alpha) -> Picture:
    """The colours, with the person's own continued into what is inside their outline and not theirs: pixels in other
    poses are interpolated between those of the photo."""
    mine = own > 0.5
    beside = continued(colours.astype(np.float32), mine)
    return np.where(((alpha > 0.5) & ~mine)[..., None], np.rint(beside).astype(np.uint8), colours)


def seen_iuv(own: Alpha, drawn: DrawnBody) -> Iuv:
    """The IUV of what a photo shows of its person, as large as the photo."""
    return np.where((own > 0.5)[..., None], drawn.iuv, np.uint8(0))


def continued(
    planes: Float[np.ndarray, "h w channels"], inside: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w channels"]:
    """Planes of the body continued a few pixels beyond its edge."""
    body = inside.astype(np.float32)[..., None]
    near, beyond = (cv2.blur(one, (CONTINUED, CONTINUED)).reshape(one.shape) for one in (body, planes * body))
    return np.where(body > 0, planes, beyond / np.maximum(near, 1e-3)).astype(np.float32)


def _beside_arm(drawn: DrawnBody) -> Bool[np.ndarray, "h w"]:
    """Where the box shows a surface right beside an arm in front of it, such as a chest beside crossed arms: the fit is
    not so exact that its colours are its own."""
    arms = np.isin(drawn.iuv[drawn.box][..., 0], ARMS)
    nearest = cv2.erode(np.where(arms, drawn.depth, np.float32(1e3)), _disc(DOUBT, drawn))
    return np.asarray(drawn.inside & ~arms & (drawn.depth - nearest > IN_FRONT))


def _mistaken_hands(
    colours: Picture, skin: UInt8[np.ndarray, " 3"] | None, drawn: DrawnBody
) -> Bool[np.ndarray, "h w"]:
    """Where the box shows a hand, but the photo what lies beside its fingers or on it; and where it shows a surface
    around a bare hand, other than its own arm's, but the photo skin, unless that surface looks so further away."""
    parts = drawn.iuv[drawn.box][..., 0]
    hands, around = np.isin(parts, list(HAND_PART.values())), np.zeros(parts.shape, bool)
    if skin is None or not hands.any():
        return around
    lab, bare = to_lab(colours[drawn.box]), alike(colours[drawn.box], skin, SKIN_RANGE)
    if np.count_nonzero(bare & hands) < BARE * np.count_nonzero(hands):
        return _under_cloth(lab, parts, drawn)
    for side, hand in HAND_PART.items():
        around |= _near_hand(parts, hand, drawn) & ~np.isin(parts, (hand, *LOWER_ARM_PARTS[side], *HEAD_PARTS))
    from_skin = np.linalg.norm(lab - to_lab(skin), axis=-1)
    of_hand = bare & around
    for part in np.unique(parts[of_hand]).tolist():
        own = lab[(parts == part) & ~around & ~hands]
        if len(own) >= LEAST_OWN:
            from_own = np.linalg.norm(lab - np.median(own, axis=0), axis=-1)
            of_hand &= (parts != part) | (from_skin < NEARER_SKIN * from_own)
    rim = cv2.dilate(of_hand.astype(np.uint8), np.ones((RIM, RIM), np.uint8)) > 0
    return np.asarray(drawn.inside & ((hands & ~bare) | (rim & around)))


def _under_cloth(
    lab: Float[np.ndarray, "h w 3"], parts: UInt8[np.ndarray, "h w"], drawn: DrawnBody
) -> Bool[np.ndarray, "h w"]:
    """Hands of the colour of the sleeve, or of what is around them: in pockets, or under crossed arms. Others wear
    gloves."""
    found = np.zeros(parts.shape, bool)
    for side, part in HAND_PART.items():
        hand, around = parts == part, _near_hand(parts, part, drawn) & (parts > 0) & (parts != part)
        for other in (np.isin(parts, LOWER_ARM_PARTS[side]), around):
            if min(np.count_nonzero(hand), np.count_nonzero(other)) >= LEAST_OWN:
                apart = np.median(lab[hand], axis=0) - np.median(lab[other], axis=0)
                found |= hand & (np.linalg.norm(apart) < SAME_CLOTH)
    return found


def _near_hand(parts: UInt8[np.ndarray, "h w"], hand: int, drawn: DrawnBody) -> Bool[np.ndarray, "h w"]:
    """Where fingers may lie."""
    return np.asarray(cv2.dilate((parts == hand).astype(np.uint8), _disc(HAND_DOUBT, drawn)) > 0)


def _skin_on_sleeves(
    colours: Picture, skin: UInt8[np.ndarray, " 3"] | None, drawn: DrawnBody
) -> Bool[np.ndarray, "h w"]:
    """Where the box shows an arm whose forearm is clothed, but the photo skin: a hand lies on it, as where arms are
    crossed."""
    parts, found = drawn.iuv[drawn.box][..., 0], np.zeros(drawn.triangle.shape, bool)
    if skin is None:
        return found
    bare = alike(colours[drawn.box], skin, SKIN_RANGE)
    rim = cv2.dilate(bare.astype(np.uint8), np.ones((RIM, RIM), np.uint8)) > 0
    for side, forearm in LOWER_ARM_PARTS.items():
        lower = np.isin(parts, forearm)
        if np.count_nonzero(bare & lower) < SLEEVED * np.count_nonzero(lower):
            found |= rim & (lower | np.isin(parts, UPPER_ARM_PARTS[side]))
    return np.asarray(drawn.inside & found)


def _beside_jaw(
    colours: Picture, skin: UInt8[np.ndarray, " 3"] | None, hair: UInt8[np.ndarray, " 3"] | None, drawn: DrawnBody
) -> Bool[np.ndarray, "h w"]:
    """Where the box shows the edge of a jaw, but the photo neither skin nor hair: a collar, or what is behind."""
    if skin is None:
        return np.zeros(drawn.triangle.shape, bool)
    body = load_body()
    below = body.joint("eye.L")[2] - body.mean_vertices[:, 2]
    low = ((below > 0) & (below < JAW))[body.faces].all(1)
    edge = drawn.inside & np.isin(drawn.iuv[drawn.box][..., 0], HEAD_PARTS)
    edge &= (low & (drawn.facing < EDGE))[drawn.triangle]
    known = alike(colours[drawn.box], skin, HEAD_RANGE)
    if hair is not None:
        known |= alike(colours[drawn.box], hair, HEAD_RANGE)
    rim = cv2.dilate((edge & ~known).astype(np.uint8), np.ones((RIM, RIM), np.uint8)) > 0
    return np.asarray(rim & edge)


def _disc(reach: float, drawn: DrawnBody) -> UInt8[np.ndarray, "side side"]:
    """A disc for cv2's morphology; `reach` is its radius as a fraction of the person's height."""
    radius = max(1, round(reach * drawn.focal * STATURE / float(np.median(drawn.away))))
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1)))
