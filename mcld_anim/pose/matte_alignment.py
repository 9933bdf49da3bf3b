"""A fitted body's IUV brought to the person's matte: bent to its outline, then filled and cut along it.

The mesh is naked and the fit is off by a few pixels. Hair and loose clothes take the surface beside them; mesh outside
the matte goes. All of it happens inside the person's box.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from mcld_anim.body.draw import DrawnBody
from mcld_anim.body.outline import matched, outline
from mcld_anim.core.arrays import Iuv, Mask

Matte = UInt8[np.ndarray, "height width"]
"""Share of the person in each pixel, 0..255."""

PERSON = 127
"""Level of the matte above which a pixel is the person's."""
LEAST_PIXELS = 200
"""Pixels of mesh and of matte from which there is something to align."""
# Lengths are fractions of the person's height, which is taken as 2.2 times the root of the mesh's area: a standing
# person covers about a fifth of the height squared, and a portrait's box says nothing about it.
HEIGHT_OF_AREA = 2.2
BEND_REACH, BEND_WIDTH = 0.05, 0.025  # largest displacement of the outline, and how far it is spread inwards
TURNED = 0.03  # distance that counts as much as a normal turned by 60 degrees
CUT_REACH, FILL_REACH = 0.03, 0.06  # mesh this far outside the matte is cut; matte this far outside the mesh is filled
BOX_MARGIN = 0.1  # around mesh and matte
BEND_RESISTANCE = 0.25
"""Weight of standing still against the median density of outline points."""


def aligned(iuv: Iuv, matte: Matte) -> Iuv:
    """The IUV bent to the matte's outline, filled and cut along it; both as large as the picture."""
    shown = shown_pixels(iuv[..., 0] > 0, matte)
    made = iuv.reshape(-1, 3)[shown]
    made[shown < 0] = 0
    return made


def aligned_body(drawn: DrawnBody, matte: Matte) -> DrawnBody:
    """The same for a drawn body, whose box becomes the whole picture."""
    shown = shown_pixels(drawn.person, matte)
    triangle = drawn.whole(drawn.triangle, -1).ravel()[shown]
    share = drawn.whole(drawn.share).reshape(-1, 3)[shown]
    return replace(drawn, triangle=np.where(shown < 0, -1, triangle), share=share, corner=(0, 0))


def shown_pixels(mesh: Mask, matte: Matte) -> Int[np.ndarray, "height width"]:
    """Flat index of the mesh's pixel that each pixel shows after alignment, -1 for none; both as large as the
    picture."""
    number = np.where(mesh, np.arange(mesh.size).reshape(mesh.shape), -1)
    person = matte > PERSON
    if mesh.sum() < LEAST_PIXELS or person.sum() < LEAST_PIXELS:
        return number
    height = HEIGHT_OF_AREA * float(np.sqrt(mesh.sum()))
    window = _window(mesh | person, BOX_MARGIN * height)
    result = np.full_like(number, -1)
    result[window] = _cut_and_filled(_bent(number[window], person[window], height), person[window], height)
    return result


def _bent(number: np.ndarray, person: Mask, height: float) -> np.ndarray:
    """Displacements that take the mesh's outline to the matte's, spread smoothly over the person."""
    mesh = number >= 0
    (here, normals), (there, mesh_normals) = outline(person, every=2), outline(mesh, every=2)
    if len(here) < 10 or len(there) < 10:
        return number
    nearest, near = matched(here, normals, there, mesh_normals, TURNED * height, BEND_REACH * height)
    if not near.any():
        return number
    moved, rows, columns = (there[nearest] - here)[near], *number.shape
    cell = max(1.0, BEND_WIDTH * height / 4)  # the displacements are smooth: a coarse grid will do
    field = np.zeros((int(rows / cell) + 1, int(columns / cell) + 1, 3), np.float32)
    places = (here[near] / cell).astype(int)
    np.add.at(field, (places[:, 1], places[:, 0]), np.concatenate([moved, np.ones((len(moved), 1))], 1))
    field = np.asarray(cv2.GaussianBlur(field, (0, 0), BEND_WIDTH * height / cell), np.float32)
    still = BEND_RESISTANCE * float(np.median(field[places[:, 1], places[:, 0], 2]))
    offset = cv2.resize(field[..., :2] / (field[..., 2:] + still), (columns, rows))
    y, x = np.mgrid[:rows, :columns]
    y, x = np.rint(y + offset[..., 1]).astype(int), np.rint(x + offset[..., 0]).astype(int)
    inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
    return np.where(inside, number[y.clip(0, rows - 1), x.clip(0, columns - 1)], -1)


def _cut_and_filled(number: np.ndarray, person: Mask, height: float) -> np.ndarray:
    """Mesh just outside the matte becomes background; matte just outside the mesh takes the nearest mesh pixel."""
    away = cv2.distanceTransform((~person).astype(np.uint8), cv2.DIST_L2, 5)
    kept = np.where((away > 0) & (away < CUT_REACH * height), -1, number)
    mesh = kept >= 0
    if not mesh.any():
        return number
    distance, label = cv2.distanceTransformWithLabels(
        (~mesh).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros(int(label.max()) + 1, number.dtype)
    table[label[mesh]] = kept[mesh]
    missing = person & ~mesh & (distance < FILL_REACH * height)
    kept[missing] = table[label[missing]]
    return kept


def _window(shown: Mask, margin: float) -> tuple[slice, slice]:
    """The box around what is shown, with a margin in pixels."""
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    top, bottom = max(0, int(rows[0] - margin)), int(rows[-1] + 1 + margin) + 1
    return slice(top, bottom), slice(max(0, int(columns[0] - margin)), int(columns[-1] + 1 + margin) + 1)
