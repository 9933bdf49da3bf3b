"""Which pixels of one look of the embedded estimator belong to which person: patches joined, and parted at heads.

The network says part by part what each pixel shows, not whose it is. A person is a connected patch of parts. Small
patches beside it that repeat little of it are its own (a forearm held before the body, feet behind a chair); one that
repeats its parts is somebody else. Where people touch they make one patch with several heads; each pixel then goes to
the head that is nearest along the patch.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from mcld_anim.core.arrays import HEAD_PARTS, PART_COUNT

Parts = UInt8[np.ndarray, "height width"]
"""The part of each pixel, 0 (nobody) or 1..24."""

Inside = Bool[np.ndarray, "height width"]
"""True where a person is."""

COMPANION = 0.05
"""Of the largest patch: smaller patches are noise."""
OWN_PARTS = 4
"""Parts that a patch shows at least if it is taken for a person by itself: the two halves of a head are two."""
REPEATED_PARTS = 3
"""Parts that two patches both show if they are two people: of one limb that something crosses, two patches may show
the upper and the lower half of the same two parts."""
NEAR = 0.15
"""Of the larger side of a person: a patch farther away from it is not a piece of it."""
SEEN_SHARE = 0.01
"""Of a patch: a part that covers less of it is a slip of the network."""
SECOND_HEAD = 0.35
"""Of the largest head in a patch: a smaller patch of head is a slip, not a head."""
HEAD_DISTANCE = 1.5
"""Times the root of the larger head's area, between the middles of two heads: something before a face parts it less."""
TORSO = (1, 2)


def people_in(parts: Parts) -> list[Inside]:
    """The people of one look, the largest first."""
    people: list[Inside] = []
    for patch in _patches(parts > 0):
        for piece in _parted(patch, parts):
            _add(piece, people, parts)
    return sorted(people, key=np.count_nonzero, reverse=True)


def parts_seen(parts: np.ndarray) -> int:
    """How many parts cover a hundredth of a person or more: a box may pass for a torso, but has no feet."""
    return int(_shows(parts).sum())


def largest_patch(inside: Inside) -> Inside:
    """Of a mask: its largest connected patch, and those not much smaller."""
    return np.any([np.zeros_like(inside), *_patches(inside)], axis=0)


def _patches(inside: Inside) -> list[Inside]:
    """The connected patches, the largest first, without those much smaller than it."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    order = [label for label in np.argsort(-areas, kind="stable") if areas[label] >= COMPANION * areas.max()]
    return [labels == label + 1 for label in order] if count > 1 else []


def _shows(parts: np.ndarray) -> Bool[np.ndarray, " parts"]:
    """Which of the 24 parts are seen, of a picture or a list of parts."""
    areas = np.bincount(parts.ravel(), minlength=PART_COUNT + 1)[1:]
    return np.asarray(areas > SEEN_SHARE * areas.sum())


def _add(piece: Inside, people: list[Inside], parts: Parts) -> None:
    """Put a patch where it belongs: to a person whom it continues, or to the list as one more."""
    if not people:
        people.append(piece)
        return
    shows = _shows(parts[piece])
    gaps = [_gap(person, piece) for person in people]
    nearest = int(np.argmin(gaps))
    repeated = (shows & _shows(parts[people[nearest]])).sum()
    if shows.sum() >= OWN_PARTS and (gaps[nearest] > NEAR or repeated >= REPEATED_PARTS):
        people.append(piece)
    else:
        people[nearest] = people[nearest] | piece


def _gap(person: Inside, piece: Inside) -> float:
    """Pixels between them, in larger sides of the person."""
    distance = cv2.distanceTransform((~person).astype(np.uint8), cv2.DIST_L2, 3)
    rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
    return float(distance[piece].min() / (max(np.ptp(rows), np.ptp(columns)) + 1))


def _parted(patch: Inside, parts: Parts) -> list[Inside]:
    """A patch with several heads in as many pieces; any other as it is."""
    heads = _heads(patch & np.isin(parts, HEAD_PARTS))
    if len(heads) < 2:
        return [patch]
    bodies = [_is_body(parts[piece]) for piece in _nearest_along(patch, heads)]
    heads = [head for head, body in zip(heads, bodies, strict=True) if body]
    return [patch] if len(heads) < 2 else _nearest_along(patch, heads)


def _heads(inside: Inside) -> list[Inside]:
    """The heads among the pixels of heads, the largest first."""
    found: list[Inside] = []
    for head in _patches(inside):
        apart = HEAD_DISTANCE * np.sqrt(np.count_nonzero(found[0])) if found else 0.0
        large = not found or np.count_nonzero(head) >= SECOND_HEAD * np.count_nonzero(found[0])
        if large and all(np.hypot(*(_middle(head) - _middle(other))) > apart for other in found):
            found.append(head)
    return found


def _middle(inside: Inside) -> np.ndarray:
    return np.argwhere(inside).mean(0)


def _is_body(parts: np.ndarray) -> bool:
    """Whether the parts of a piece are a person's: a torso is among them."""
    shows = _shows(parts)
    return bool(shows.sum() >= OWN_PARTS and any(shows[part - 1] for part in TORSO))


def _nearest_along(patch: Inside, seeds: list[Inside]) -> list[Inside]:
    """The pixels of a patch by the seed that is nearest on a way inside the patch."""
    labels = np.zeros(patch.shape, np.uint8)
    for label, seed in enumerate(seeds, 1):
        labels[seed] = label
    square, cross = np.ones((3, 3), np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    free, step = patch & (labels == 0), 0
    while free.any():
        grown = cv2.dilate(labels, cross if step % 2 else square)  # in turns: about as far in every direction
        reached = free & (grown > 0)
        if not reached.any():
            break
        labels[reached] = grown[reached]
        free &= ~reached
        step += 1
    return [labels == label for label in range(1, len(seeds) + 1)]
