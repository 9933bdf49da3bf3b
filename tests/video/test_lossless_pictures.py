"""Pictures come back as they were, at any size."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.video.lossless_pictures import LosslessPictures, read_pictures


@pytest.mark.parametrize("shape", [(1, 1, 3), (37, 1, 3), (7, 5, 4), (96, 64, 3), (65, 129, 4)])
def test_pictures_come_back_as_they_were(shape: tuple[int, int, int]) -> None:
    random = np.random.default_rng(0)
    noise = [random.integers(0, 256, shape).astype(np.uint8) for _ in range(2)]
    pictures, kept = [*noise, np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)], LosslessPictures()
    for _ in range(2):  # begins anew after it has finished
        for picture in pictures:
            kept.add(picture)
        read = list(read_pictures(kept.finish()))
        assert len(read) == len(pictures)
        assert all(np.array_equal(one, other) for one, other in zip(read, pictures, strict=True))


def test_pictures_have_one_size() -> None:
    kept = LosslessPictures()
    kept.add(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"expected uint8 \(4, 4, 3\), got uint8 \(4, 5, 3\)"):
        kept.add(np.zeros((4, 5, 3), np.uint8))


def test_nothing_is_nothing() -> None:
    assert list(read_pictures(LosslessPictures().finish())) == []
