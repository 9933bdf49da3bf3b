"""The atlas of a photographed person, completed: what the photo does not show looks as it usually does on people.

`source.fill` takes it from symmetry and neighbours. Here hands and ears get their usual colours, hair and the cloth of
the torso go around to the back (`source.wrapped`), badges stay where they are, and a limb that is not seen is of the
cloth of the one above it.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy.spatial import cKDTree

from mcld_anim.body.garments import on_texels
from mcld_anim.body.part_labels import (
    HAND_PART,
    HEAD_PART,
    LOWER_ARM_PARTS,
    LOWER_LEG_PARTS,
    UPPER_ARM_PARTS,
    UPPER_LEG_PARTS,
)
from mcld_anim.body.rig import load_body
from mcld_anim.body.surface import GRID, SEGMENTS, rest_body
from mcld_anim.core.arrays import ATLAS_SIZE, HEAD_PARTS, PART_COUNT, Atlas, AtlasMask
from mcld_anim.core.cielab import alike, to_lab
from mcld_anim.core.push_pull import push_pull
from mcld_anim.source.fill import NEIGHBOUR, OTHER_SIDE, SEEN_REACH, TORSO, fill_atlas, folded_torso
from mcld_anim.source.mirrored import mirrored
from mcld_anim.source.person_colours import EAR, ear_vertices
from mcld_anim.source.wrapped import CLOTH, HAIR, wrapped

BEHIND_EARS, NAPE = 0.01, 0.06
"""Where the back of the head begins: metres before the ears' middle, and down from it."""
FOREHEAD, BESIDE_EARS = 0.07, 0.025
"""Where hair begins on a head that has any: metres above the eyes, and before the ears' middle."""
LEAST_SKIN = 20
"""Texels beside an ear that have to be skin to give its colour."""
BESIDE_EAR, SIDE_RANGE = 12, (40.0, 14.0, 18.0)
"""Width of what lies around an ear, in texels of 200, and differences of L*, a* and b* from the cheeks' colour up to
which it is skin: the side of a head lies in less light."""
SKIN_RANGE, BARE = (20.0, 9.0, 9.0), 0.5
"""Differences of L*, a* and b* from the cheeks' colour up to which a torso shows skin, and its share from which that is
bare: else hands and necks give it."""
BADGE = 16.0
"""Standard deviation, in texels of 200, of the blur of colours that one side of the torso takes from the other."""
FADE = 15.0
"""Width, in texels of 200, over which the cloth that goes around fades in."""
OTHER_MATERIAL = 0.02
"""Weight of the colours of a torso that are not its cloth's, where these are continued beside what is seen."""
ODD = (25.0, 12.0, 12.0)
"""Differences of L*, a* and b* from a part's median colour from which a texel may be a badge's."""
LARGEST_BADGE = 0.08
"""Share of a chart up to which texels of another colour are a badge or a pin: larger patches are the garment's."""
RIM = 4
"""Width, in texels of 200, of the mixed colours around a badge."""
PLAIN = 4.0
"""Standard deviation, in levels, up to which the guessed colours of a part are one colour."""
LIT = (0.5, 0.75)
"""Ranks by brightness, 0..1, between which the colours of cloth are those that face the camera: the rest is in its
folds, or glare."""
FOLDS, DEEPEST_FOLD = 10.0, 18.0
"""Standard deviation, in texels of 200, of the blur from which folds of cloth stand out, and by how many levels they do
at most: what stands out more is a print."""


def whole_atlas(
    shown: Atlas,
    valid: AtlasMask,
    hair: UInt8[np.ndarray, " 3"] | None,
    skin: UInt8[np.ndarray, " 3"] | None,
    covered_ears: str = "",
) -> tuple[Atlas, Bool[np.ndarray, " 24"]]:
    """The atlas of what is `shown`, completed, and the parts whose colours come without a photo's light.

    hair, skin: the person's; None where no photo shows them. covered_ears: sides ("L", "R") of the ears under hair.
    """
    plain = valid & ~_seen_badges(shown, valid)
    both, other = mirrored(shown, plain)
    atlas = np.where(valid[..., None], shown, fill_atlas(both, plain | other))
    painted = ~valid.any((1, 2)) & (atlas.std((1, 2)) < PLAIN).all(-1)
    _turn_torso(atlas, shown, valid, skin)
    _remove_badges(atlas, valid)
    for part in (np.flatnonzero(painted) + 1).tolist():
        cloth = _cloth(part, atlas, valid)
        if cloth is not None:
            atlas[part - 1] = cloth
    for part in HAND_PART.values():
        if skin is not None and not valid[part - 1].any():
            atlas[part - 1] = skin
    if hair is not None:
        around = wrapped(HEAD_PARTS, shown, valid & _hairy(), HAIR, hair)
        for number, part in enumerate(HEAD_PARTS):
            behind = _back_of_head(part) & ~valid[part - 1]
            atlas[part - 1][behind] = hair if around is None else around[number][behind]
    for side, part in HEAD_PART.items():
        if skin is not None and side not in covered_ears:
            atlas[part - 1][_ear(part) & ~valid[part - 1]] = _skin_beside(part, atlas, skin)
    return atlas, painted


def _turn_torso(atlas: Atlas, shown: Atlas, valid: AtlasMask, skin: UInt8[np.ndarray, " 3"] | None) -> None:
    """Give the side of the torso that is not seen the cloth of the other one, or its skin if that is bare. Works in
    place."""
    folded, cloth = folded_torso(valid), valid.copy()
    if skin is not None:
        bare = alike(shown, skin, SKIN_RANGE) & valid
        charts = [part - 1 for part in TORSO]
        if np.count_nonzero(bare[charts]) < BARE * np.count_nonzero(valid[charts]):
            cloth &= ~bare
    around = wrapped(TORSO, shown, cloth, CLOTH)
    for number, part in enumerate(TORSO):
        if around is not None:
            _continue_cloth(atlas[part - 1], valid[part - 1], folded[part - 1], around[number])
        guess = cv2.GaussianBlur(atlas[part - 1], (0, 0), BADGE) if around is None else around[number]
        inwards = cv2.distanceTransform(folded[part - 1].astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
        share = (inwards / FADE).clip(0, 1)[..., None]
        atlas[part - 1] = np.rint(atlas[part - 1] * (1 - share) + guess * share)


def _continue_cloth(
    texels: UInt8[np.ndarray, "200 200 3"],
    seen: Bool[np.ndarray, "200 200"],
    folded: Bool[np.ndarray, "200 200"],
    cloth: UInt8[np.ndarray, "200 200 3"],
) -> None:
    """Continue the torso's `cloth` beside what is seen, and where it is `folded`, before a tie, a shirt or skin.

    Works in place.
    """
    near = cv2.distanceTransform((~seen).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) <= SEEN_REACH
    unknown = ~seen & (near | folded)
    weight = np.where(alike(texels, cloth, CLOTH.same), 1, OTHER_MATERIAL) * ~unknown
    smooth = push_pull(texels.astype(np.float32), weight.astype(np.float32))
    texels[unknown] = np.rint(smooth[unknown]).clip(0, 255)


def _seen_badges(shown: Atlas, valid: AtlasMask) -> AtlasMask:
    """Badges that the photo shows: they are one of a kind, so nothing else looks like them."""
    badges = np.zeros_like(valid)
    for part in set(np.flatnonzero(valid.any((1, 2))) + 1) - set(HEAD_PARTS):
        badges[part - 1] = _badges(shown[part - 1], valid[part - 1])
    return badges


def _remove_badges(atlas: Atlas, valid: AtlasMask) -> None:
    """Take badges from where the photo does not show them: symmetry repeats them. Works in place."""
    for part in set(range(1, PART_COUNT + 1)) - set(HEAD_PARTS):
        badge = _badges(atlas[part - 1], np.ones_like(valid[part - 1]))
        guessed = badge & ~valid[part - 1]
        if guessed.any():
            around = push_pull(atlas[part - 1].astype(np.float32), (~badge).astype(np.float32))
            atlas[part - 1][guessed] = np.rint(around[guessed]).clip(0, 255)


def _badges(texels: UInt8[np.ndarray, "200 200 3"], known: Bool[np.ndarray, "200 200"]) -> Bool[np.ndarray, "200 200"]:
    """Where small patches of the known texels of a chart have another colour than the rest, with their rim."""
    lab = to_lab(texels)
    odd = (np.abs(lab - np.median(lab[known], axis=0)) > ODD).any(-1) & known
    _, labels, measures, _ = cv2.connectedComponentsWithStats(odd.astype(np.uint8))
    small = measures[:, cv2.CC_STAT_AREA] <= LARGEST_BADGE * odd.size
    small[0] = False  # that is the rest
    patches = small[labels].astype(np.uint8)
    return cv2.dilate(patches, np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)) > 0


def _cloth(part: int, atlas: Atlas, valid: AtlasMask) -> UInt8[np.ndarray, "200 200 3"] | None:
    """The texels of a part that is not seen, of the cloth of the next part towards the torso that is: its usual colour,
    with the folds of the limb above. None if no such part is seen."""
    above = part
    while above in NEIGHBOUR:
        above = NEIGHBOUR[above]
        for chart in (above, OTHER_SIDE.get(above, above)):
            if valid[chart - 1].any():
                return _folded_cloth(part, chart, _lit_colour(atlas[chart - 1][valid[chart - 1]]), atlas)
    return None


def _folded_cloth(
    part: int, above: int, colour: Float[np.ndarray, " 3"], atlas: Atlas
) -> UInt8[np.ndarray, "200 200 3"]:
    texels = np.tile(colour, (ATLAS_SIZE, ATLAS_SIZE, 1))
    if part in _lower_limbs() and above in _lower_limbs()[part].upper:
        grey = atlas.reshape(-1, 3)[_across_joint(part)].mean(-1).astype(np.float32)
        folds = grey - cv2.GaussianBlur(grey, (0, 0), FOLDS)
        texels += folds.clip(-DEEPEST_FOLD, DEEPEST_FOLD)[..., None]
    return np.rint(texels).clip(0, 255).astype(np.uint8)


def _lit_colour(colours: UInt8[np.ndarray, "texels 3"]) -> Float[np.ndarray, " 3"]:
    """The usual one of the colours in the light."""
    bright = colours.mean(-1)
    low, high = np.quantile(bright, LIT)
    return np.asarray(np.median(colours[(bright >= low) & (bright <= high)], axis=0), np.float32)


class _LowerLimb(NamedTuple):
    """A forearm or shin."""

    segment: int  # of `SEGMENTS`, whose parent is the upper limb
    upper: tuple[int, ...]  # charts of the upper limb


@cache
def _lower_limbs() -> dict[int, _LowerLimb]:
    """The limb of each chart of forearms and shins."""
    segments = {(segment.name, segment.side): index for index, segment in enumerate(SEGMENTS)}
    arms, legs = ("lower arm", LOWER_ARM_PARTS, UPPER_ARM_PARTS), ("lower leg", LOWER_LEG_PARTS, UPPER_LEG_PARTS)
    return {
        part: _LowerLimb(segments[name, side], upper[side])
        for name, lower, upper in (arms, legs)
        for side in "LR"
        for part in lower[side]
    }


@cache
def _across_joint(part: int) -> Int[np.ndarray, "200 200"]:
    """For each texel of a lower limb's chart, the flat index of the texel as far above the joint on the upper limb."""
    rest, (lower, upper) = rest_body(), _lower_limbs()[part]
    above, joint, along = SEGMENTS[lower].parent, rest.joints[lower], rest.axes[lower]
    places = rest.places.reshape(PART_COUNT, GRID * GRID, 3)
    from_joint = places[part - 1] - joint
    distance = (from_joint @ along).clip(0, rest.lengths[above])[:, None]
    around = from_joint - (from_joint @ along)[:, None] * along
    candidates = np.concatenate([places[chart - 1] for chart in upper])
    _, nearest = cKDTree(candidates).query(joint - distance * rest.axes[above] + around)
    chart, cell = np.divmod(nearest, GRID * GRID)
    row, column = np.divmod(cell, GRID)  # V down
    scale = ATLAS_SIZE / GRID
    texel = ((GRID - row - 0.5) * scale).astype(int) * ATLAS_SIZE + ((column + 0.5) * scale).astype(int)
    flat = (np.array(upper)[chart] - 1) * ATLAS_SIZE**2 + texel
    return _texels(flat.reshape(GRID, GRID))


@cache
def _ear(part: int) -> Bool[np.ndarray, "200 200"]:
    """Texels of a head part that are an ear's."""
    return on_texels(ear_vertices("LR", EAR).astype(np.float32))[part - 1] > 0.5


@cache
def _hairy() -> AtlasMask:
    """Texels of the head above the forehead, and beside the ears and behind: where hair is, if it is anywhere."""
    body = load_body()
    ears, eyes = body.mean_vertices[body.ears > 0.5].mean(0), body.joint("eye.L")
    behind, above = body.mean_vertices[:, 1] - ears[1], body.mean_vertices[:, 2]
    hairy = (above > eyes[2] + FOREHEAD) | ((behind > -BESIDE_EARS) & (above > ears[2]))
    return on_texels((hairy & (body.ears < EAR)).astype(np.float32)) > 0.5


def _skin_beside(part: int, atlas: Atlas, skin: UInt8[np.ndarray, " 3"]) -> UInt8[np.ndarray, " 3"]:
    """The colour of the skin around the ear of a head part, which lies in its light; that of the cheeks without any."""
    ear = _ear(part).astype(np.uint8)
    around = (cv2.dilate(ear, np.ones((2 * BESIDE_EAR + 1, 2 * BESIDE_EAR + 1), np.uint8)) > ear) & ~_back_of_head(part)
    colours = atlas[part - 1][around]
    bare = colours[alike(colours, skin, SIDE_RANGE)]
    return skin if len(bare) < LEAST_SKIN else np.median(bare, axis=0).round().astype(np.uint8)


@cache
def _back_of_head(part: int) -> Bool[np.ndarray, "200 200"]:
    """Texels of a head part that lie behind the ears, down to the nape."""
    ears = load_body().mean_vertices[load_body().ears > 0.5].mean(0)
    places = rest_body().places.reshape(PART_COUNT, GRID, GRID, 3)[part - 1]  # V is the row
    return _texels((places[..., 1] > ears[1] - BEHIND_EARS) & (places[..., 2] > ears[2] - NAPE))


def _texels(cells: np.ndarray) -> np.ndarray:
    """The texels (200, 200) of a part that lie in the cells (64, 64) of `RestBody`'s grid."""
    cell = np.arange(ATLAS_SIZE) * GRID // ATLAS_SIZE
    return np.asarray(cells[::-1][cell[:, None], cell])
