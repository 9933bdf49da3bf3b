"""A fitted body's IUV brought to the person's matte: bent to its outline, then filled and cut along it.

The mesh is naked and the fit is off by a few pixels. Hair and loose clothes take the surface beside them; mesh outside
the matte goes. All of it happens inside the person's box.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8
from scipy.spatial import cKDTree

from mcld_anim.core.arrays import Iuv
from mcld_anim.pose.backends import iuv_box

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
    mesh, person = iuv[..., 0] > 0, matte > PERSON
    if mesh.sum() < LEAST_PIXELS or person.sum() < LEAST_PIXELS:
        return iuv
    height = HEIGHT_OF_AREA * float(np.sqrt(mesh.sum()))
    window = _window(iuv, person, BOX_MARGIN * height)
    result = np.zeros_like(iuv)
    result[window] = _cut_and_filled(_bent(iuv[window], person[window], height), person[window], height)
    return result


def _bent(iuv: Iuv, person: np.ndarray, height: float) -> Iuv:
    """Displacements that take the mesh's outline to the matte's, spread smoothly over the person."""
    mesh = iuv[..., 0] > 0
    (here, normals), (there, mesh_normals) = _outline(person), _outline(mesh)
    if len(here) < 10 or len(there) < 10:
        return iuv
    turned = TURNED * height
    tree = cKDTree(np.concatenate([there, mesh_normals * turned], 1))
    _, nearest = tree.query(np.concatenate([here, normals * turned], 1))
    moved = there[nearest] - here
    near = np.linalg.norm(moved, axis=1) < BEND_REACH * height
    if not near.any():
        return iuv
    cell = max(1.0, BEND_WIDTH * height / 4)  # the displacements are smooth: a coarse grid will do
    rows, columns = int(iuv.shape[0] / cell) + 1, int(iuv.shape[1] / cell) + 1
    field = np.zeros((rows, columns, 3), np.float32)
    places = (here[near] / cell).astype(int)
    np.add.at(field, (places[:, 1], places[:, 0]), np.concatenate([moved[near], np.ones((near.sum(), 1))], 1))
    field = np.asarray(cv2.GaussianBlur(field, (0, 0), BEND_WIDTH * height / cell), np.float32)
    still = BEND_RESISTANCE * float(np.median(field[places[:, 1], places[:, 0], 2]))
    offset = cv2.resize(field[..., :2] / (field[..., 2:] + still), (iuv.shape[1], iuv.shape[0]))
    y, x = np.mgrid[: iuv.shape[0], : iuv.shape[1]].astype(np.float32)
    return np.asarray(cv2.remap(iuv, x + offset[..., 0], y + offset[..., 1], cv2.INTER_NEAREST))


def _cut_and_filled(iuv: Iuv, person: np.ndarray, height: float) -> Iuv:
    """Mesh just outside the matte becomes background; matte just outside the mesh takes the nearest mesh pixel."""
    away = cv2.distanceTransform((~person).astype(np.uint8), cv2.DIST_L2, 5)
    kept = np.where(((away > 0) & (away < CUT_REACH * height))[..., None], 0, iuv).astype(np.uint8)
    mesh = kept[..., 0] > 0
    if not mesh.any():
        return iuv
    distance, label = cv2.distanceTransformWithLabels(
        (~mesh).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    table = np.zeros((int(label.max()) + 1, 3), np.uint8)
    table[label[mesh]] = kept[mesh]
    missing = person & ~mesh & (distance < FILL_REACH * height)
    kept[missing] = table[label[missing]]
    return kept


def _outline(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every second pixel (n, 2) x, y of a mask's outlines, without those on the border, and normals out of it."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    points = [contour[::2, 0] for contour in contours if len(contour) > 12]
    if not points:
        return np.zeros((0, 2)), np.zeros((0, 2))
    x, y = np.concatenate(points).T
    inner = (x > 2) & (y > 2) & (x < mask.shape[1] - 3) & (y < mask.shape[0] - 3)
    x, y = x[inner], y[inner]
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2)
    down, across = np.gradient(soft)
    normal = -np.stack([across[y, x], down[y, x]], 1)
    return np.stack([x, y], 1).astype(float), normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-6)


def _window(iuv: Iuv, person: np.ndarray, margin: float) -> tuple[slice, slice]:
    """The box around mesh and matte."""
    box = iuv_box(np.maximum(iuv, person[..., None].astype(np.uint8)))
    assert box is not None  # both have pixels
    x0, y0, x1, y1 = box
    rows = slice(max(0, int(y0 - margin)), int(y1 + margin) + 1)
    return rows, slice(max(0, int(x0 - margin)), int(x1 + margin) + 1)
