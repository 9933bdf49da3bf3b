"""From part labels to people: fragments are joined, neighbours are not, and people who touch are split at heads."""

from __future__ import annotations

import numpy as np

from mcld_anim.pose.people import largest_patch, parts_seen, people_in

HEIGHT = 110


def body(picture: np.ndarray, x: int, y: int = 10, scale: float = 1.0) -> np.ndarray:
    """Draw a figure 40 wide and 110 high into the parts, its head at the top; returns its mask."""
    before = picture.copy()
    shapes = [(23, 14, 0, 20, 18), (24, 20, 0, 26, 18), (2, 8, 18, 32, 55), (16, 0, 20, 8, 50), (15, 32, 20, 40, 50)]
    shapes += [(9, 8, 55, 20, 82), (10, 20, 55, 32, 82), (13, 8, 82, 20, 110), (14, 20, 82, 32, 110)]
    for part, x0, y0, x1, y1 in shapes:
        rows, columns = (slice(round(a * scale), round(b * scale)) for a, b in ((y0, y1), (x0, x1)))
        picture[y:, x:][rows, columns] = part
    return picture != before


def empty() -> np.ndarray:
    return np.zeros((140, 256), np.uint8)


def test_people_apart_are_several_the_largest_first() -> None:
    parts = empty()
    small, large = body(parts, 20, scale=0.7), body(parts, 150)
    people = people_in(parts)
    assert len(people) == 2
    assert (people[0] == large).all()
    assert (people[1] == small).all()


def test_a_fragment_beside_a_person_is_a_piece_of_it() -> None:
    """One obstacle covers the thighs, another separates a hand."""
    parts = empty()
    body(parts, 100)
    parts[70:76] = 0
    parts[60:75, 145:152] = 3
    (one,) = people_in(parts)
    assert (one == (parts > 0)).all()


def test_specks_are_left_out() -> None:
    parts = empty()
    inside = body(parts, 100)
    parts[5:9, 5:9] = 2
    (one,) = people_in(parts)
    assert (one == inside).all()
    assert (largest_patch(parts > 0) == inside).all()


def test_people_who_touch_are_parted_at_their_heads() -> None:
    parts = empty()
    left = body(parts, 60)
    right = body(parts, 98)  # its arm before the other's
    people = sorted(people_in(parts), key=lambda one: np.argwhere(one)[:, 1].mean())
    assert len(people) == 2
    for one, truth in zip(people, (left & ~right, right), strict=True):
        assert (one & truth).sum() / (one | truth).sum() > 0.9


def test_a_slip_that_looks_like_a_head_parts_nobody() -> None:
    parts = empty()
    inside = body(parts, 100)
    parts[96:110, 108:120] = 23  # a foot taken for a head, without a torso of its own
    (one,) = people_in(parts)
    assert (one == inside).all()


def test_nobody_is_no_person() -> None:
    assert people_in(empty()) == []
    assert not largest_patch(empty() > 0).any()
    assert parts_seen(empty()) == 0
