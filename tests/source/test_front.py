"""What stands before the person: a desk stays, along its edge; what is held, or what the fit invents, does not."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.source.front import in_front

SIZE, HEIGHT = (200, 160), 500.0


@pytest.fixture
def body() -> np.ndarray:
    """A portrait: 80 columns wide, down to the lower edge."""
    mask = np.zeros(SIZE, bool)
    mask[40:, 40:120] = True
    return mask


@pytest.mark.parametrize("tilt", [0.0, 0.08])
def test_a_desk_goes_on_beside_the_person(body: np.ndarray, tilt: float) -> None:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    desk = rows > 150 + tilt * (columns - 80)
    front = in_front(body, (body & ~desk).astype(np.float32), HEIGHT) > 0.5
    assert (front & desk).sum() > 0.97 * desk.sum()
    assert (front & ~desk).sum() < 3 * SIZE[1]
    assert front[-1, [0, -1]].all()


def test_a_rounded_thing_stays_where_it_hides_the_body(body: np.ndarray) -> None:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    ball = np.hypot(rows - 200, columns - 80) < 36
    front = in_front(body, (body & ~ball).astype(np.float32), HEIGHT)
    assert front[190, 80] > 0.99
    assert front[:, :40].max() < 0.01
    assert front[:150].max() < 0.01


def test_held_things_and_a_wide_fit_are_nothing_in_front(body: np.ndarray) -> None:
    held = np.zeros(SIZE, bool)
    held[90:140, 60:100] = True
    assert not in_front(body, (body & ~held).astype(np.float32), HEIGHT).any()
    narrow = body.copy()
    narrow[:, :46] = False  # the person ends six pixels inside the mesh
    assert not in_front(body, narrow.astype(np.float32), HEIGHT).any()
    assert not in_front(body, body.astype(np.float32), HEIGHT).any()
