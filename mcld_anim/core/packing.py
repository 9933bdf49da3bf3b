"""Dataclasses of arrays as tensors and plain data, and back: nothing that is read runs code, unlike a pickle.

Tensors and arrays come back with the same bits, dtype and order in memory, on which the rounding of products may
depend; numpy's scalars stay numpy's, whose promotion differs from Python's numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor


def pack(value: Any) -> tuple[dict[str, Tensor], Any]:
    """The tensors of a value, on the CPU under numbers as names, and its structure as plain data for JSON.

    Values are None, bool, int, float, str, Fraction, tensors, arrays, numpy scalars, and tuples, lists, dictionaries
    with str keys, named tuples and dataclasses of those. Raises TypeError for anything else.
    """
    packer = _Packer()
    return packer.tensors, packer.pack(value)


def unpack(
    tensors: Mapping[str, Tensor], structure: Any, classes: Iterable[type], device: torch.device | str = "cpu"
) -> Any:
    """The value that was packed. `classes`: the only dataclasses and named tuples that are made; tensors that were not
    arrays go to `device`. Raises ValueError, KeyError or TypeError for what `pack` has not made."""
    return _Unpacker(tensors, {cls.__name__: cls for cls in classes}, device).unpack(structure)


class _Packer:
    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._known: dict[int, tuple[Any, Any]] = {}  # by identity; the object is held, so that no other gets its id

    def pack(self, value: Any) -> Any:
        """Plain data, in which everything but plain scalars is a dictionary with one key."""
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) is Fraction:
            return {"fraction": str(value)}
        if isinstance(value, Tensor):
            return self._once("tensor", value, value.detach())
        if isinstance(value, np.ndarray):
            return self._once("array", value, torch.from_numpy(_plain_strides(value)))
        if isinstance(value, np.generic):
            return {"scalar": self._stored(torch.from_numpy(np.array([value])))}
        if isinstance(value, Mapping):
            return {"dict": [[_text(key), self.pack(item)] for key, item in value.items()]}
        if type(value) in (tuple, list):
            return {type(value).__name__: [self.pack(item) for item in value]}
        return {"object": [type(value).__name__, {name: self.pack(item) for name, item in _fields(value).items()}]}

    def _once(self, kind: str, value: Any, tensor: Tensor) -> Any:
        """A tensor that occurs twice is stored once."""
        if id(value) not in self._known:
            self._known[id(value)] = value, {kind: self._stored(tensor)}
        return self._known[id(value)][1]

    def _stored(self, tensor: Tensor) -> list[Any]:
        """Name, and the axes in their order in memory."""
        axes = sorted(range(tensor.ndim), key=lambda axis: -tensor.stride()[axis])
        name = str(len(self.tensors))
        self.tensors[name] = tensor.permute(axes).cpu().clone(memory_format=torch.contiguous_format)
        return [name, axes]


@dataclasses.dataclass(frozen=True)
class _Unpacker:
    tensors: Mapping[str, Tensor]
    classes: Mapping[str, type]
    device: torch.device | str

    def unpack(self, packed: Any) -> Any:
        if not isinstance(packed, dict):
            return packed
        ((kind, content),) = packed.items()
        if kind == "tensor":
            return self._placed(content, self.device)
        if kind == "array":
            return self._placed(content, "cpu").numpy()
        if kind == "scalar":
            return self._placed(content, "cpu").numpy()[0]
        if kind == "fraction":
            return Fraction(content)
        if kind == "dict":
            return {key: self.unpack(item) for key, item in content}
        if kind == "object":
            name, fields = content
            return self.classes[name](**{field: self.unpack(item) for field, item in fields.items()})
        items = [self.unpack(item) for item in content]
        return {"tuple": tuple, "list": list}[kind](items)

    def _placed(self, stored: list[Any], device: torch.device | str) -> Tensor:
        name, axes = stored
        back = sorted(range(len(axes)), key=lambda place: axes[place])
        return self.tensors[name].clone().to(device).permute(back)  # cloned: read files are not aligned


def _fields(value: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {name: getattr(value, name) for name in value._fields}
    raise TypeError(f"{type(value).__name__} cannot be packed")


def _text(key: Any) -> str:
    if type(key) is not str:
        raise TypeError(f"a key is {type(key).__name__}, not str")
    return key


def _plain_strides(array: np.ndarray) -> np.ndarray:
    """The array, copied where torch cannot share it: with negative or byte-wise strides, or read-only."""
    odd = any(stride < 0 or stride % array.itemsize for stride in array.strides)
    return array.copy() if odd or not array.flags.writeable else array
