"""Which cell of DensePose's 24 charts each pixel of an IUV shows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt8

from mcld_anim.core.arrays import ATLAS_SIZE, PART_COUNT, Iuv, Picture
from mcld_anim.core.chosen_pixels import ChosenPixels

CellIndex = Int[np.ndarray, " pixels"]
"""Index into (24 * side * side) cells: part by part, V down, U across."""


def texel_index(iuv: Iuv) -> CellIndex:
    """Flat index (n,) into a (24, 200, 200) atlas of every pixel inside the person, in row-major pixel order.

    Row = (255 - V) * 199 / 255 and column = U * 199 / 255, truncated.
    """
    part, u, v = np.ascontiguousarray(ChosenPixels(iuv[..., 0] > 0).of(iuv).T)
    return (part.astype(np.int32) - 1) * ATLAS_SIZE**2 + _ROW_OFFSET[v] + _COLUMN[u]


_BYTES = np.arange(256)
_COLUMN = (_BYTES * (ATLAS_SIZE - 1.0) / 255.0).astype(np.int32)
_ROW_OFFSET = ((255 - _BYTES) * (ATLAS_SIZE - 1.0) / 255.0).astype(np.int32) * ATLAS_SIZE


def cell_index(values: UInt8[np.ndarray, "pixels 3"], side: int) -> CellIndex:
    """Flat index (n,) into (24, side, side) cells of the I, U, V of person pixels."""
    part, u, v = values.T.astype(np.int32)
    return ((part - 1) * side + v * side // 256) * side + u * side // 256


def mean_colours(
    picture: Picture, iuv: Iuv, side: int
) -> tuple[Float[np.ndarray, "cells 3"], Int[np.ndarray, " cells"], CellIndex]:
    """Mean colour (float64, 0..255) of each of the 24 * side * side cells, its number of pixels, and each person
    pixel's cell; cells without a pixel are 0.

    `picture` and `iuv` (H, W, 3) uint8 have one size; pixels count in row-major order.
    """
    person = ChosenPixels(iuv[..., 0] > 0)
    index = cell_index(person.of(iuv), side)
    count = np.bincount(index, minlength=PART_COUNT * side**2)
    sums = [np.bincount(index, weights=channel, minlength=len(count)) for channel in person.of(picture).T]
    return np.stack(sums, axis=1) / np.maximum(count, 1)[:, None], count, index
