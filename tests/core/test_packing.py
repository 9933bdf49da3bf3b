"""Packed values come back with the same bits, types and order in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from mcld_anim.core.packing import pack, unpack


class Pair(NamedTuple):
    first: Tensor
    second: Tensor


@dataclass(frozen=True, eq=False)
class Thing:
    name: str
    values: Any


def through_a_file(value: Any) -> Any:
    tensors, structure = pack(value)
    return unpack(load(save(tensors)), json.loads(json.dumps(structure)), (Thing, Pair))


NORMAL = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "tensor",
    [
        NORMAL,
        NORMAL.permute(0, 2, 1, 3),
        NORMAL.to(memory_format=torch.channels_last),
        NORMAL[:, 1:, ::2],
        NORMAL[:1].expand(4, 3, 4, 5),
        NORMAL.to(torch.bfloat16).transpose(1, 3),
        torch.tensor(3.5),
        torch.empty(0, 3),
        torch.arange(5) > 2,
    ],
)
def test_tensors_keep_bits_dtype_and_order_in_memory(tensor: Tensor) -> None:
    again = through_a_file(tensor)
    assert again.dtype == tensor.dtype
    assert torch.equal(again, tensor)
    if tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size():
        assert again.stride() == tensor.stride()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12, dtype=np.float32)[::-2],
        np.array([True, False]),
        np.zeros((0, 2), np.int32),
        np.array(2.5),
    ],
)
def test_arrays_too(array: np.ndarray) -> None:
    again = through_a_file(array)
    assert type(again) is np.ndarray
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert np.array_equal(again, array)
    assert again.flags.f_contiguous == array.flags.f_contiguous or min(array.strides, default=0) < 0


def test_structures_keep_their_types() -> None:
    value = Thing(
        "é\udce9",
        {
            "plain": [None, True, 1, 0.1, (1, 2), {}],
            "fraction": Fraction(30_000, 1001),
            "scalar": np.float64(0.1),
            "pair": Pair(torch.ones(2), torch.zeros(1)),
        },
    )
    again = through_a_file(value)
    assert (type(again), again.name) == (Thing, value.name)
    assert again.values["plain"] == value.values["plain"]
    assert type(again.values["plain"][4]) is tuple
    assert again.values["fraction"] == Fraction(30_000, 1001)
    assert type(again.values["scalar"]) is np.float64
    assert again.values["scalar"] == 0.1
    assert type(again.values["pair"]) is Pair


def test_a_tensor_that_occurs_twice_is_stored_once() -> None:
    tensor = torch.ones(100)
    tensors, _ = pack([tensor, (tensor, tensor.clone())])
    assert len(tensors) == 2


@pytest.mark.parametrize("value", [object(), {1: 2}, {"set": {1}}, b"bytes", Thing])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        pack(value)


def test_only_named_classes_are_made() -> None:
    tensors, structure = pack(Thing("x", 1))
    with pytest.raises(KeyError):
        unpack(tensors, structure, (Pair,))
