"""Separating people in the part labels of the embedded estimator: patches are joined, or split at heads.

The network labels each pixel's part, not its person. A person is a connected patch of parts. Small patches nearby that
repeat few of its parts belong to the same person (a forearm in front of the body, feet behind a chair); a patch that
repeats them is another person. People who touch form one patch with several heads, and each pixel then goes to the
head that is nearest along the patch.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from mcld_anim.core.arrays import HEAD_PARTS, PART_COUNT

Parts = UInt8[np.ndarray, "height width"]
"""The part of each pixel, 0 (nobody) or 1..24."""

Inside = Bool[np.ndarray, "height width"]
"""True inside a person."""

COMPANION = 0.05
"""Least area of a patch, as a fraction of the largest; smaller ones are noise."""
OWN_PARTS = 4
"""Least number of parts of a patch that is a person by itself; the two halves of a head are two."""
REPEATED_PARTS = 3
"""Least number of parts that the patches of two people share. The two patches of one limb behind an obstacle may share
two: its upper and lower half."""
NEAR = 0.15
"""Largest distance of a patch from its person, as a fraction of the person's longer side."""
SEEN_SHARE = 0.01
"""Least area of a part, as a fraction of its patch; smaller ones are errors of the network."""
SECOND_HEAD = 0.35
"""Least area of a head, as a fraction of the largest head in the patch; smaller ones are errors."""
HEAD_DISTANCE = 1.5
"""Least distance between the centres of two heads, in square roots of the largest head's area; the halves of a face
behind an obstacle are closer."""
TORSO = (1, 2)


def people_in(parts: Parts) -> list[Inside]:
    """The masks of all people, the largest first."""
    people: list[Inside] = []
    for patch in _patches(parts > 0):
        for piece in _parted(patch, parts):
            _add(piece, people, parts)
    return sorted(people, key=np.count_nonzero, reverse=True)


def parts_seen(parts: np.ndarray) -> int:
    """Number of parts that cover a hundredth of a person or more; a box taken for a torso has no feet."""
    return int(_shows(parts).sum())


def largest_patch(inside: Inside) -> Inside:
    """The largest connected patch of a mask, with those not much smaller."""
    return np.any([np.zeros_like(inside), *_patches(inside)], axis=0)


def _patches(inside: Inside) -> list[Inside]:
    """The connected patches, the largest first, without those much smaller than it."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=8)
    areas = statistics[1:, cv2.CC_STAT_AREA]
    order = [label for label in np.argsort(-areas, kind="stable") if areas[label] >= COMPANION * areas.max()]
    return [labels == label + 1 for label in order] if count > 1 else []


def _shows(parts: np.ndarray) -> Bool[np.ndarray, " parts"]:
    """Which of the 24 parts are visible, in a picture or a list of parts."""
    areas = np.bincount(parts.ravel(), minlength=PART_COUNT + 1)[1:]
    return np.asarray(areas > SEEN_SHARE * areas.sum())


def _add(piece: Inside, people: list[Inside], parts: Parts) -> None:
    """Join a patch to the person it belongs to, or append it as a new person."""
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
    """Distance between them, in longer sides of the person."""
    distance = cv2.distanceTransform((~person).astype(np.uint8), cv2.DIST_L2, 3)
    rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
    return float(distance[piece].min() / (max(np.ptp(rows), np.ptp(columns)) + 1))


def _parted(patch: Inside, parts: Parts) -> list[Inside]:
    """A patch split into one piece per head."""
    heads = _heads(patch & np.isin(parts, HEAD_PARTS))
    if len(heads) < 2:
        return [patch]
    bodies = [_is_body(parts[piece]) for piece in _nearest_along(patch, heads)]
    heads = [head for head, body in zip(heads, bodies, strict=True) if body]
    return [patch] if len(heads) < 2 else _nearest_along(patch, heads)


def _heads(inside: Inside) -> list[Inside]:
    """The separate heads in a mask of head pixels, the largest first."""
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
    """Whether the parts of a piece form a person, with a torso."""
    shows = _shows(parts)
    return bool(shows.sum() >= OWN_PARTS and any(shows[part - 1] for part in TORSO))


def _nearest_along(patch: Inside, seeds: list[Inside]) -> list[Inside]:
    """A patch divided among seeds by the shortest path inside it."""
    labels = np.zeros(patch.shape, np.uint8)
    for label, seed in enumerate(seeds, 1):
        labels[seed] = label
    square, cross = np.ones((3, 3), np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    free, step = patch & (labels == 0), 0
    while free.any():
        grown = cv2.dilate(labels, cross if step % 2 else square)  # alternating, which approximates a disc
        reached = free & (grown > 0)
        if not reached.any():
            break
        labels[reached] = grown[reached]
        free &= ~reached
        step += 1
    return [labels == label for label in range(1, len(seeds) + 1)]
